"""From the names of tensors as they are found to those that transformers writes today.

Training wraps a model in others, and each puts its own name before the model's: `module.bert. ...`
(DataParallel), `_orig_mod. ...` (torch.compile), `0.auto_model. ...` (sentence-transformers),
`model.bert. ...` (Lightning, a class of one's own).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bertjax.errors import UserError
from bertjax.huggingface.names import CLASS_PREFIXES
from bertjax.huggingface.weights import StoredTensor

# What an encoder needs; anything else in a checkpoint is a head.
ENCODER = re.compile(r"embeddings\.|encoder\.|LayerNorm\.")
WORDS = "embeddings.word_embeddings.weight"

_BUFFERS = ("embeddings.position_ids", "embeddings.token_type_ids")
# These may stand anywhere in a name, for each block may have been wrapped by itself.
_WRAPPERS = {"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
_PREFIXES = {
    "bert.": "bert",
    "roberta.": "roberta",
    "roberta_prelayernorm.": "roberta-prelayernorm",
}
_HEADS = {"cls.": "bert", "lm_head.": "roberta"}


def canonical(stored: Mapping[str, StoredTensor], prefix: str) -> dict[str, StoredTensor]:
    """Tensors under the names of today, the encoder's after `prefix`; buffers are dropped."""
    outer = _outer(stored, prefix)
    found: dict[str, StoredTensor] = {}
    for name, tensor in stored.items():
        bare = _unwrapped(name).removeprefix(outer).removeprefix(prefix)
        if bare in _BUFFERS:
            continue
        bare = re.sub(r"LayerNorm\.gamma$", "LayerNorm.weight", bare)
        bare = re.sub(r"LayerNorm\.beta$", "LayerNorm.bias", bare)
        encoder = ENCODER.match(bare) or bare.startswith("pooler.")
        full = prefix + bare if encoder else bare
        if full in found:
            raise UserError(
                f"{tensor.file}: {found[full].name} and {name} are two tensors for one parameter: "
                "keep one of them"
            )
        found[full] = tensor
    return found


def model_type_of(content: dict[str, Any], names: Iterable[str], source: Path) -> str:
    """The model type that a `config.json` without one means, by its class or by the weights' names.

    Raises UserError where neither tells.
    """
    named = str((content.get("architectures") or [""])[0])
    classes = sorted(CLASS_PREFIXES.items(), key=lambda item: -len(item[1]))
    for model_type, prefix in classes:
        if named.startswith(prefix):
            return model_type
    bare = [_unwrapped(name) for name in names]
    for lead in _leads(bare):
        for prefix, model_type in _PREFIXES.items():
            if f".{lead}".endswith(f".{prefix}"):
                return model_type
    for head, model_type in _HEADS.items():
        if any(f".{head}" in f".{name}" for name in bare):
            return model_type
    if content.get("type_vocab_size", 1) != 1:  # RoBERTa has one
        return "bert"
    shown = f"{min(bare)!r} and {len(bare) - 1} more" if bare else "none"
    raise UserError(
        f"{source} has no model_type and no architectures, and the names of the weights ({shown}) "
        "do not tell: write model_type into it, bert or roberta"
    )


def _outer(stored: Mapping[str, StoredTensor], prefix: str) -> str:
    """What stands before the model's own names; empty if nothing does."""
    leads = _leads(map(_unwrapped, stored))
    if not leads or leads & {"", prefix}:
        return ""
    outer = {
        lead.removesuffix(prefix) if f".{lead}".endswith(f".{prefix}") else lead for lead in leads
    }
    if len(outer) > 1:
        one, other = sorted(outer)[:2]
        file = next(iter(stored.values())).file
        raise UserError(
            f"{file} holds several encoders, under {one!r} and {other!r}: save the one that is "
            "meant by itself"
        )
    (only,) = outer
    other_model = any(f".{only}".endswith(f".{p}") for p in _PREFIXES)
    return "" if other_model else only


def _leads(names: Iterable[str]) -> set[str]:
    """What stands before the embedding of words, wherever there is one."""
    return {name.removesuffix(WORDS) for name in names if f".{name}".endswith(f".{WORDS}")}


def _unwrapped(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in _WRAPPERS)
