"""How a directory of sentence-transformers says that a text becomes one vector.

Keys are those of its versions 2 to 6 (sentence_transformers/base/model.py,
base/modules/transformer.py, sentence_transformer/modules/pooling.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from bertjax.errors import UserError
from bertjax.huggingface.config_json import read_any_json, read_json, typed
from bertjax.huggingface.systems import short

# Of versions before 6, which say of each pooling whether it is meant; newer ones name it.
_MODES = {"pooling_mode_cls_token": "cls", "pooling_mode_mean_tokens": "mean"}
# In whose name early versions wrote the file of the encoder, by precedence.
_KINDS = ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
_OTHERWISE = "give pooling='mean' or 'cls', and normalize, for vectors of your choice"


class DeclaredVectors(NamedTuple):
    """The vectors that sentence-transformers would make."""

    pooling: str  # one of `bertjax.predict.POOLINGS`
    normalize: bool
    longest: int | None  # tokens of a text, special ones among them, after which it cuts; None: all


def declared_vectors(directory: Path) -> DeclaredVectors | None:
    """How the vectors of a directory are made; None of one that does not say.

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
    if names not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        raise UserError(
            f"{path} makes vectors by {', '.join(names)}, and bertjax by Transformer, Pooling and "
            f"Normalize alone: {_OTHERWISE}"
        )
    _refuse_a_prompt(directory / "config_sentence_transformers.json")
    longest = _longest(directory / modules[0]["path"])
    about = directory / modules[1]["path"] / "config.json"
    content = read_json(about)
    meant = content.get("pooling_mode") or [
        _MODES.get(key, key)
        for key, value in content.items()
        if key.startswith("pooling_mode_") and value is True
    ]
    for pooling in _MODES.values():
        if meant in (pooling, [pooling]):
            return DeclaredVectors(pooling, len(modules) == 3, longest)
    raise UserError(f"{about} pools by {meant}, which bertjax does not: {_OTHERWISE}")


def _refuse_a_prompt(path: Path) -> None:
    """Refuse a text that is put before every other one."""
    content = _read_if_there(path)
    prompts, name = content.get("prompts"), content.get("default_prompt_name")
    prompt = prompts.get(name) if isinstance(prompts, dict) and isinstance(name, str) else None
    if prompt:
        raise UserError(
            f"{path} puts {short(prompt)} before every text (default_prompt_name={short(name)}), "
            f"and bertjax nothing: {_OTHERWISE}"
        )


def _longest(encoder: Path) -> int | None:
    """Where the module of the encoder cuts a text; UserError if it changes its letters."""
    paths = [encoder / f"sentence_{kind}_config.json" for kind in _KINDS]
    path = next((path for path in paths if path.exists()), paths[0])
    content = _read_if_there(path)
    tokenizer = _read_if_there(encoder / "tokenizer_config.json")
    if content.get("do_lower_case") and not tokenizer.get("do_lower_case"):
        raise UserError(
            f"{path} has do_lower_case={short(content['do_lower_case'])} and tokenizer_config.json "
            f"has not, and bertjax changes no text before its tokenizer: {_OTHERWISE}"
        )
    # Version 6 has the number in tokenizer_config.json alone.
    own = typed(tokenizer, "model_max_length", int, 0, encoder / "tokenizer_config.json")
    return typed(content, "max_seq_length", int, 0, path) or own or None


def _read_if_there(path: Path) -> dict[str, Any]:
    """The object in a JSON file without what is null; an empty one where there is no file."""
    content = read_json(path) if path.exists() else {}
    return {key: value for key, value in content.items() if value is not None}
