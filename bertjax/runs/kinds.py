"""What a directory is, told from the files in it and never from its name.

Paths may come out of damaged files, and be no paths at all: `os.path` says of those that nothing is
there, where `pathlib` raises.
"""

from __future__ import annotations

import json
import os
import re
from enum import Enum
from pathlib import Path

from bertjax.errors import UserError


class Kind(Enum):
    """The directories that bertjax reads; the value is what a person calls them."""

    CORPUS = "a corpus of `bertjax prepare`"
    PRETRAINING = "a run of `bertjax pretrain`"
    FINETUNING = "a run of `bertjax finetune`"
    FUSION = "a fusion of `bertjax fuse`"
    ABLATION = "a grid of `bertjax ablate`"
    HUGGING_FACE = "a Hugging Face directory"


# Names at the top of a run's config.json that no other config.json has.
_SECTIONS = {
    Kind.PRETRAINING: {"model", "train"},
    Kind.FINETUNING: {"tune", "task"},
    Kind.FUSION: {"fusion", "voices"},
    Kind.ABLATION: {"base", "arms"},
}


def kind_of(path: Path) -> Kind | None:
    """Return what the directory is; None for anything else."""
    config = path / "config.json"
    if os.path.isfile(config):
        try:
            content = json.loads(config.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            content = None  # who reads it as a Hugging Face directory says what is wrong with it
        names = set(content) if isinstance(content, dict) else set()
        for kind, sections in _SECTIONS.items():
            if sections <= names:
                return kind
        return Kind.HUGGING_FACE
    if os.path.isfile(path / "manifest.json") and os.path.isdir(path / "tokenizer"):
        return Kind.CORPUS
    return None


def require_kind(name: str, path: Path, *wanted: Kind, fix: str = "") -> Kind:
    """Return the kind of `path`, which must be one of `wanted`.

    `name` is what the user gave it as, such as `--init`. `fix` is what to do instead; by default
    to give one of `wanted`.

    Raises:
        UserError: one line with what is there instead.
    """
    kind = kind_of(path)
    if kind in wanted:
        return kind
    asked = " or ".join(choice.value for choice in wanted)
    fetch = _how_to_fetch(path) if Kind.HUGGING_FACE in wanted and Kind.CORPUS not in wanted else ""
    raise UserError(f"{name} {path} is {describe(path)}: {fix or f'give {asked}'}{fetch}")


def _how_to_fetch(path: Path) -> str:
    """What to add where `path` may be the name of a model on the Hub, NAME or OWNER/NAME."""
    owner_or_name = r"[A-Za-z\d][\w.-]*"
    named = re.fullmatch(f"{owner_or_name}(/{owner_or_name})?", str(path), re.ASCII)
    if named is None or os.path.exists(path) or (named[1] and os.path.exists(path.parent)):
        return ""
    return (
        f"; nothing is fetched from the Hub: `hf download {path} --local-dir hf/{path.name}` does, "
        f"then give hf/{path.name}"
    )


def describe(path: Path) -> str:
    """Return what is at `path` in a few words, for the end of `PATH is ...`."""
    kind = kind_of(path)
    if kind is not None:
        return kind.value
    if not os.path.exists(path):
        return "not there"
    if not os.path.isdir(path):
        return "a file"
    for parent in path.absolute().parents[:3]:
        if kind_of(parent) is not None:
            return f"a part of {parent}, which is {kind_of(parent).value}"  # type: ignore[union-attr]
    if not any(path.iterdir()):
        return "an empty directory"
    return "a directory without config.json or manifest.json"
