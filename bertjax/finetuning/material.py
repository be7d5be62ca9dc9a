"""What the models of a run have in common: what they start from, and examples encoded once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bertjax import model
from bertjax.config import FinetuneConfig
from bertjax.finetuning.layout import beside_forms, evaluation_forms, training_forms
from bertjax.finetuning.splits import Splits, folds
from bertjax.finetuning.words import occurring
from bertjax.tasks.families import task_of
from bertjax.tasks.task import Example, Rows
from bertjax.text.tokenizer import Tokenizer

RANDOM_WEIGHTS = "random weights"  # the source of a start without parameters


@dataclass(frozen=True)
class Start:
    """What a run starts from."""

    source: str  # for people, and for results
    params: model.Params  # empty: random ones, of each seed its own
    tokenizer: Tokenizer
    task: str = ""  # of the fine-tuned run it comes from, such as mnli; empty: pretrained only
    is_of_run: bool = False  # read from the run that is resumed, as what it came from is gone
    path: Path | None = None  # of the directory, where there is one

    @property
    def is_gone(self) -> bool:
        """Whether there were weights, and the run that is resumed does not hold them."""
        return self.is_of_run and not self.params and self.source != RANDOM_WEIGHTS


@dataclass(frozen=True)
class Encoded:
    """Labelled examples and their rows."""

    examples: list[Example]
    rows: Rows
    unknown: float = 0.0  # share of tokens that are [UNK]

    def select(self, kept: np.ndarray) -> Encoded:
        """Some of the examples, ascending, with their rows."""
        return Encoded([self.examples[i] for i in kept], self.rows.select(kept))


class Material:
    """Examples and their rows, encoded once for all models, and the forms of their batches."""

    def __init__(self, cfg: FinetuneConfig, splits: Splits, tokenizer: Tokenizer, devices: int):
        self.cfg, self.splits, self.tokenizer = cfg, splits, tokenizer
        self.task = task_of(cfg, splits.labels)
        names = ("train", "dev", "test", "unlabelled")
        parts = {name: getattr(splits, name) for name in names}
        self.encoded = {name: self.encode(part) for name, part in parts.items() if part}
        idle = {"train"} if not cfg.tune.folds else set()
        if not cfg.transfer.by_rounds:
            idle.add("unlabelled")
        evaluated = [
            encoded.rows
            for name, encoded in self.encoded.items()
            if name not in idle or cfg.tune.layers == 0
        ]
        seen = [self.encoded[name].rows for name in ("train", "unlabelled") if name in self.encoded]
        self.pieces = occurring(seen, tokenizer.special.pad)  # of what any model trains on
        self.training_forms = training_forms(cfg, [self.encoded["train"].rows], devices)
        if cfg.transfer.by_rounds:  # of students, whatever they are given of the unlabelled rows
            both = [self.encoded[name].rows for name in ("train", "unlabelled")]
            self.student_forms = training_forms(cfg, both, devices)
        if cfg.transfer.aligned:
            self.beside_forms = beside_forms(cfg, self.encoded["unlabelled"].rows, devices)
        self.evaluation_forms = evaluation_forms(
            cfg, evaluated, devices, passes=(cfg.tune.epochs + 1) * cfg.tune.models
        )

    def encode(self, examples: list[Any]) -> Encoded:
        """Examples with their rows."""
        rows = self.task.encode(examples, self.tokenizer)
        unknown = sum(np.count_nonzero(t == self.tokenizer.special.unk) for t in rows.tokens)
        return Encoded(examples, rows, unknown / sum(map(len, rows.tokens)))

    def parts(self, fold: int | None) -> tuple[Encoded, Encoded]:
        """What a model trains on, and what it is evaluated on each epoch."""
        if fold is None:
            return self.encoded["train"], self.encoded["dev"]
        train = self.encoded["train"]
        held = folds(train.examples, self.cfg.tune.folds)[fold]
        kept = np.setdiff1d(np.arange(len(train.examples)), held)
        return train.select(kept), train.select(held)
