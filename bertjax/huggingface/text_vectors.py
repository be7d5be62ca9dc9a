"""What sentence-transformers reads beside an encoder, so that a text becomes one vector, both ways.

The names of modules and keys are those of its versions 2 to 5, which version 6 reads as well
(sentence_transformers/util/deprecated_import.py, sentence_transformer/modules/pooling.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bertjax.config import ModelConfig
from bertjax.errors import UserError
from bertjax.huggingface.config_json import read_any_json, read_json
from bertjax.huggingface.names import Architecture

_MODULES = "sentence_transformers.models"
# Of versions before 6, which say of each pooling whether it is meant; newer ones name it.
_MODES = {"pooling_mode_cls_token": "cls", "pooling_mode_mean_tokens": "mean"}


@dataclass(frozen=True)
class TextVectors:
    """How a text becomes a vector: `bertjax.predict.encode` with the same options."""

    pooling: str  # one of `bertjax.predict.POOLINGS`
    normalize: bool
    trained: str  # a sentence: with which pooling the weights were trained

    @property
    def said(self) -> str:
        """What a person has to know of it, in sentences."""
        how = {
            "mean": "the mean of its tokens' last states, special ones among them",
            "cls": "the last state of [CLS]",
        }[self.pooling]
        length = ", scaled to length 1" if self.normalize else ""
        return f"A text's vector is {how}{length}. {self.trained}"


def vector_files(
    cfg: ModelConfig, architecture: Architecture, vectors: TextVectors
) -> dict[str, Any]:
    """The content of each JSON file by its path in the directory."""
    modules = [("", "Transformer"), ("1_Pooling", "Pooling")]
    modules += [("2_Normalize", "Normalize")] if vectors.normalize else []
    encoder: dict[str, Any] = {"max_seq_length": cfg.max_positions, "do_lower_case": False}
    if architecture.system.pooler and not architecture.head.pooler:
        # Else transformers makes a new pooler, which nothing uses, and says so.
        encoder["model_args"] = {"add_pooling_layer": False}
    files: dict[str, Any] = {
        "modules.json": [
            {"idx": i, "name": str(i), "path": path, "type": f"{_MODULES}.{name}"}
            for i, (path, name) in enumerate(modules)
        ],
        "sentence_bert_config.json": encoder,
        "config_sentence_transformers.json": {
            "model_type": "SentenceTransformer",
            "prompts": {},
            "default_prompt_name": None,
            "similarity_fn_name": "cosine",
        },
        "1_Pooling/config.json": {
            "word_embedding_dimension": cfg.hidden_size,
            "pooling_mode_cls_token": vectors.pooling == "cls",
            "pooling_mode_mean_tokens": vectors.pooling == "mean",
            "pooling_mode_max_tokens": False,
            "pooling_mode_mean_sqrt_len_tokens": False,
        },
    }
    # A directory that holds nothing is lost by git and by the Hub.
    return files | ({"2_Normalize/config.json": {}} if vectors.normalize else {})


def declared_vectors(directory: Path) -> tuple[str, bool] | None:
    """`mean` or `cls`, and whether vectors have length 1, as sentence-transformers would make them.

    None of a directory that does not say.

    Raises:
        UserError: its files are damaged, or it pools otherwise, or does more than that.
    """
    path = directory / "modules.json"
    if not path.exists():
        return None
    modules = read_any_json(path)
    whole = isinstance(modules, list) and all(
        isinstance(one, dict)
        and {str} == {type(one.get(key)) for key in ("type", "path")}
        and one["path"] == Path(one["path"]).name.strip(".")  # of this directory, or this directory
        for one in modules
    )
    if not whole:
        raise UserError(f"{path} is no list of modules with their type and path: download it again")
    names = [one["type"].rpartition(".")[2] for one in modules]
    choose = "give pooling='mean' or 'cls', and normalize, for vectors of your choice"
    if names not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        raise UserError(
            f"{path} makes vectors by {', '.join(names)}, and bertjax by Transformer, Pooling and "
            f"Normalize alone: {choose}"
        )
    about = directory / modules[1]["path"] / "config.json"
    content = read_json(about)
    meant = content.get("pooling_mode") or [
        _MODES.get(key, key)
        for key, value in content.items()
        if key.startswith("pooling_mode_") and value is True
    ]
    for pooling in _MODES.values():
        if meant in (pooling, [pooling]):
            return pooling, len(modules) == 3
    raise UserError(f"{about} pools by {meant}, which bertjax does not: {choose}")
