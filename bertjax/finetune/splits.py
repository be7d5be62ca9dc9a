"""Which examples train, which choose the best epoch, which are only scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from bertjax.config import FinetuneConfig
from bertjax.data import keyed
from bertjax.errors import UserError
from bertjax.tasks.families import label_names, learnt_examples, read_examples
from bertjax.tasks.task import Example

_HOLD_OUT, _FOLDS = 1, 2  # keep the draws of the two apart
_SPLIT_SEED = 0  # the same split for every seed of a model, so that their scores compare


@dataclass(frozen=True)
class Splits:
    """The labelled examples of a run."""

    train: list[Example]
    dev: list[Example]
    test: list[Example]  # empty: none was named
    labels: tuple[str, ...]
    skipped: dict[str, int] = field(default_factory=dict)  # bad rows left out, by split


def open_splits(cfg: FinetuneConfig) -> Splits:
    """Read the files that `cfg.data` names.

    Raises:
        UserError: no training file is named, a file cannot be read, or nothing is left to train
            on or to choose by.
    """
    if not cfg.data.train:
        raise UserError("data.train is empty: give data.train=FILE, or tfds:NAME:SPLIT")
    skipped = {}
    train, skipped["train"] = read_examples(cfg.data.train, cfg)
    if cfg.data.max_rows:
        train = train[: cfg.data.max_rows]
    labels = label_names(cfg, train)
    dev: list[Example] = []
    test: list[Example] = []
    if cfg.data.dev:
        dev, skipped["dev"] = read_examples(cfg.data.dev, cfg)
    elif not cfg.tune.folds:
        train, dev = hold_out(train, cfg.data.dev_share)
    if cfg.data.test:
        test, skipped["test"] = read_examples(cfg.data.test, cfg)
    for name, examples in (("train", train), ("dev", dev), ("test", test)):
        for example in examples:
            if example.label is None:
                raise UserError(
                    f"{example.place}: data.{name} has an example without a label: leave "
                    "unlabelled files to `bertjax predict`"
                )
    for name, examples in (("dev", dev), ("test", test)):
        if examples:
            examples[:], more = learnt_examples(examples, labels, cfg)
            skipped[name] = skipped.get(name, 0) + more
    if cfg.tune.folds:
        folds(len(train), cfg.tune.folds)  # or it is refused before anything is written
    return Splits(train, dev, test, labels, skipped)


def hold_out(examples: Sequence[Example], share: float) -> tuple[list[Example], list[Example]]:
    """Set a share of the examples aside, drawn by their number and never by order of the file."""
    draws = keyed.bits(_SPLIT_SEED, _HOLD_OUT, np.arange(len(examples)))
    count = round(share * len(examples))
    if not 0 < count < len(examples):
        raise UserError(
            f"data.dev_share={share} of {len(examples)} examples leaves {count} for dev: give "
            "data.dev=FILE, or a share that leaves at least one on both sides"
        )
    held = set(np.argsort(draws, kind="stable")[:count].tolist())
    kept = [e for i, e in enumerate(examples) if i not in held]
    return kept, [e for i, e in enumerate(examples) if i in held]


def folds(count: int, ways: int) -> list[np.ndarray]:
    """Cut `count` examples into folds of equal size, give or take one: sorted indices of each.

    The same folds for every seed.
    """
    if ways > count:
        raise UserError(f"tune.folds={ways} of {count} examples: use at most {count}")
    order = np.argsort(keyed.bits(_SPLIT_SEED, _FOLDS, np.arange(count)), kind="stable")
    return [np.sort(order[i::ways]) for i in range(ways)]
