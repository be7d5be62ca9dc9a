"""Read a model to start from or to use: a run of ours, or a Hugging Face directory."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bertjax import model
from bertjax.config import ModelConfig, PretrainConfig
from bertjax.data.corpus import describe_corpus
from bertjax.errors import UserError
from bertjax.huggingface import import_model
from bertjax.overrides import from_json
from bertjax.text.tokenizer import Tokenizer, load_tokenizer
from bertjax.train.run_directory import RunDirectory
from bertjax.train.setup import load_parameters


@dataclass(frozen=True)
class Initial:
    """An architecture with its weights and tokenizer."""

    cfg: ModelConfig
    params: model.Params
    tokenizer: Tokenizer | None
    source: str  # what was read, for people
    fresh: tuple[str, ...] = ()  # parameters that were not there and are random
    step: int = 0  # training steps behind it, if it is a run of ours
    meta: dict[str, Any] = field(default_factory=dict)  # of its checkpoint

    def check_corpus(self, corpus: Path) -> None:
        """Refuse a corpus of another tokenizer: its ids would mean other words."""
        if self.tokenizer is None:
            return
        theirs = describe_corpus(corpus)["tokenizer"]
        if theirs != self.tokenizer.fingerprint:
            raise UserError(
                f"{corpus} was prepared with tokenizer {theirs[:12]}, the model of {self.source} "
                f"has {self.tokenizer.fingerprint[:12]}: prepare the text again with "
                "--tokenizer set to the model's directory"
            )


def check_overrides(
    overrides: Sequence[str], asked: ModelConfig, given: ModelConfig, source: str
) -> None:
    """Refuse `model.*` on the command line where it is not what the weights of `source` have."""
    for item in overrides:
        name = item.partition("=")[0]
        field = name.removeprefix("model.")
        if not name.startswith("model.") or field in ("hidden_dropout", "attention_dropout"):
            continue
        wanted, there = getattr(asked, field, None), getattr(given, field, None)
        if (field, wanted) == ("vocab_size", 0):
            continue  # whatever is there
        if wanted != there:
            raise UserError(
                f"{name}={wanted}, but the model of {source} has {there}: its weights fix the "
                "architecture; leave the option out, or start from other weights"
            )


def read_model(path: Path) -> Initial:
    """Read a run directory or a Hugging Face directory, told apart by their config.json.

    Of a run, the best checkpoint, else the newest, else what it was imported from.

    Raises:
        UserError: neither of them, or damaged.
    """
    if is_run(path):
        run = RunDirectory(path.absolute())
        stores = {"best": run.best, "newest": run.checkpoints, "imported": run.initial}
        return _read_run(run, stores)
    if {"model", "tune"} <= _sections(path):
        raise UserError(
            f"{path} is a run of `bertjax finetune`, whose head is its task's: use `bertjax "
            "predict`, or give a pretraining run"
        )
    if path.is_dir() and (path / "config.json").exists():
        imported = import_model(path)
        return Initial(
            imported.cfg, imported.params, imported.tokenizer, str(path), tuple(imported.fresh)
        )
    raise UserError(
        f"{path} is neither a run of bertjax nor a Hugging Face directory: it has no config.json"
        if path.exists()
        else f"{path}: no such directory: give a run or a Hugging Face directory"
    )


def is_run(path: Path) -> bool:
    """Whether `path` is a run directory of ours (its config.json has our sections)."""
    return {"model", "train"} <= _sections(path)


def _sections(path: Path) -> set[str]:
    """The top-level names in a directory's config.json; none if it has no such file."""
    try:
        content = json.loads((path / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return set()
    return set(content) if isinstance(content, dict) else set()


def is_imported(path: Path) -> bool:
    """Whether `bertjax import` made this run, so that it starts from the weights in it."""
    return RunDirectory(path.absolute()).initial.is_dir()


def read_imported(path: Path) -> Initial:
    """Read the weights that `bertjax import` put into a run, whatever was trained since."""
    run = RunDirectory(path.absolute())
    return _read_run(run, {"imported": run.initial})


def run_config(path: Path) -> PretrainConfig:
    """The config of a run directory."""
    return from_json(PretrainConfig, (path / "config.json").read_text(encoding="utf-8"))


def _read_run(run: RunDirectory, stores: dict[str, Path]) -> Initial:
    cfg = run_config(run.path).model
    which, found = load_parameters(stores, cfg)
    source = f"{run.path} ({which} checkpoint, step {found.step})"
    tokenizer = load_tokenizer(run.tokenizer)
    return Initial(cfg, found.items["params"], tokenizer, source, step=found.step, meta=found.meta)
