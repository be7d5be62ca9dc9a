"""What sentence-transformers reads beside an encoder, so that a text becomes one vector.

The names of modules and keys are those of its versions 2 to 5, which version 6 reads as well
(sentence_transformers/util/deprecated_import.py, sentence_transformer/modules/pooling.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bertjax.config import ModelConfig
from bertjax.huggingface.names import Architecture

_MODULES = "sentence_transformers.models"


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
