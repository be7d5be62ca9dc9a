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
from bertjax.huggingface.systems import SYSTEMS, System, class_of
from bertjax.huggingface.weights import StoredTensor

# These may stand anywhere in a name, for each block may have been wrapped by itself.
_WRAPPERS = {"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
_HEADS = {"cls.": "bert", "lm_head.": "roberta"}


def words(system: System) -> str:
    """The word table of a system's encoder, without a prefix."""
    return f"{system.encoder['embeddings/word_embeddings']}.weight"


def is_encoders(system: System, bare: str) -> bool:
    """Whether a tensor without a prefix is a part of the encoder; anything else is a head's."""
    parts = {theirs.partition(".")[0] for theirs in system.encoder.values()}
    parts |= {name.partition(".")[0] for name in system.pooler.values()}
    return bare.partition(".")[0] in parts


def canonical(
    stored: Mapping[str, StoredTensor], system: System, prefix: str
) -> dict[str, StoredTensor]:
    """Tensors under the names of today, the encoder's after `prefix`; buffers are dropped."""
    outer = _outer(stored, system, prefix)
    found: dict[str, StoredTensor] = {}
    for name, tensor in stored.items():
        bare = _unwrapped(name).removeprefix(outer).removeprefix(prefix)
        if any(re.fullmatch(buffer, bare) for buffer in system.buffers):
            continue
        bare = re.sub(r"LayerNorm\.gamma$", "LayerNorm.weight", bare)
        bare = re.sub(r"LayerNorm\.beta$", "LayerNorm.bias", bare)
        full = prefix + bare if is_encoders(system, bare) else bare
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
    named = class_of(content) or ""
    for system in sorted(SYSTEMS.values(), key=lambda one: -len(one.class_prefix)):
        if named.startswith(system.class_prefix):
            return system.model_type
    bare = [_unwrapped(name) for name in names]
    for system in SYSTEMS.values():
        for lead in _leads(bare, system):
            if f".{lead}".endswith(f".{system.prefix}"):
                return system.model_type
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


def _outer(stored: Mapping[str, StoredTensor], system: System, prefix: str) -> str:
    """What stands before the model's own names; empty if nothing does."""
    leads = _leads(map(_unwrapped, stored), system)
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
    others = {one.prefix for one in SYSTEMS.values()} - {system.prefix, "model.", "transformer."}
    return "" if any(f".{only}".endswith(f".{p}") for p in others) else only


def _leads(names: Iterable[str], system: System) -> set[str]:
    """What stands before the embedding of words, wherever there is one."""
    table = words(system)
    return {name.removesuffix(table) for name in names if f".{name}".endswith(f".{table}")}


def _unwrapped(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in _WRAPPERS)
