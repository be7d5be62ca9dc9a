"""The config of a command: a recipe, what the weights it starts from bring, and what was typed.

Each of the three counts more than the one before it, in every verb.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from bertjax.config import ModelConfig
from bertjax.errors import UserError, nearest
from bertjax.overrides import load_config

T = TypeVar("T")

# Of the architecture, what a run may have otherwise than the weights that it begins with.
_NOT_FIXED = ("hidden_dropout", "attention_dropout", "attention", "replaced_token_head")
_RECIPES = (
    "configs",
    "configs/finetune",
    "configs/ablations",
)  # where `--config bert_tiny` is looked for


def add_config(parser: argparse.ArgumentParser, example: str, required: bool = True) -> None:
    """Declare --config and the fields that may be typed after it, such as `example`."""
    parser.add_argument(
        "--config",
        type=Path,
        required=required,
        help="Python file with get_config(), its name in configs/, or the config.json of a run",
    )
    add_fields(parser, example)


def add_fields(parser: argparse.ArgumentParser, example: str) -> None:
    """Declare the fields of the config that may be typed, such as `example`."""
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="key=value",
        help=f"such as {example}; `bertjax options VERB` lists all",
    )


def read_config(path: Path, expected: type[T]) -> T:
    """Load what --config names: a file, or a recipe of `configs/` by its name alone.

    Raises:
        UserError: there is no such recipe, or `bertjax.overrides.load_config` refuses it.
    """
    if path.exists() or path.suffix or len(path.parts) != 1:
        return load_config(path, expected)
    checkout = Path(__file__).parents[2]
    folders = [root / name for root in (checkout, Path()) for name in _RECIPES]
    recipes = {file.stem: file for folder in folders for file in folder.glob("*.py")}
    if path.name not in recipes:
        raise UserError(
            f"--config {path}: no such file, and no recipe of that name in configs/"
            + (f": {nearest(path.name, recipes)}" if recipes else ": give the path of a file")
        )
    return load_config(recipes[path.name], expected)


def typed_value(overrides: Sequence[str], field: str) -> str | None:
    """The text that the last of `overrides` gives to `field`; None if none does."""
    values = [item.partition("=")[2] for item in overrides if item.startswith(f"{field}=")]
    return values[-1] if values else None


def check_architecture(
    overrides: Sequence[str], asked: ModelConfig, given: ModelConfig, source: str
) -> None:
    """Refuse `model.*` on the command line where it is not what the weights of `source` have."""
    for item in overrides:
        name = item.partition("=")[0]
        field = name.removeprefix("model.")
        if not name.startswith("model.") or field in _NOT_FIXED:
            continue
        wanted, there = getattr(asked, field, None), getattr(given, field, None)
        if (field, wanted) == ("vocab_size", 0):
            continue  # whatever is there
        if wanted != there:
            raise UserError(
                f"{name}={wanted}, but the model of {source} has {there}: its weights fix the "
                "architecture; leave the option out, or start from other weights"
            )
