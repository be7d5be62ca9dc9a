"""Regression: a number for every text or pair, such as STS-B's similarity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bertjax.config import FinetuneConfig
from bertjax.errors import UserError
from bertjax.metrics.correlation import is_constant, pearson, spearman
from bertjax.tasks.label_column import number_each
from bertjax.tasks.labels import check_varied
from bertjax.tasks.sentences import (
    SentenceTask,
    all_labelled,
    encode_sentences,
    read_sentences,
    shown,
)
from bertjax.tasks.tables import row_account
from bertjax.tasks.task import Example, Prediction, Rows
from bertjax.text.account import Account
from bertjax.text.tokenizer import Tokenizer


def read(
    path: str, cfg: FinetuneConfig, labelled: bool = True, account: Account | None = None
) -> tuple[list[Example], int]:
    """Examples with a number each, and how many bad rows were left out.

    Raises:
        UserError: the file cannot be read, or a row is bad and is not to be skipped.
    """
    account = account or row_account(cfg.data)
    return read_sentences(path, cfg, labelled, lambda c: number_each(c[0]), account)


def label_names(examples: Sequence[Example], named: tuple[str, ...] = ()) -> tuple[str, ...]:
    """No labels: there are no classes (`Regression.labels` names the one output).

    Raises:
        UserError: all training examples have one value, or the config names labels.
    """
    if named:
        raise UserError(f"task.labels={list(named)} with task.family=regression: it has none")
    check_varied(examples, (example.label for example in examples))
    return ()


class Regression(SentenceTask):
    """A number for every text or pair; scores are float64 [1]."""

    metrics: tuple[str, ...] = ("pearson", "spearman")
    labels: tuple[str, ...] = ("score",)

    def __init__(self, cfg: FinetuneConfig, labels: tuple[str, ...] = ()):
        self.data = cfg.data

    def encode(self, examples: Sequence[Example], tokenizer: Tokenizer) -> Rows:
        """Rows with the target `label` float32 [R]; see `Task.encode`."""
        rows = encode_sentences(examples, tokenizer, self.data)
        if all_labelled(examples):
            values = np.array([example.label for example in examples], np.float32)
            rows.fixed["label"] = values[rows.examples]
        return rows

    def predict(
        self, examples: Sequence[Example], scores: Sequence[np.ndarray]
    ) -> list[Prediction]:
        """The number."""
        return [
            {**shown(example), "prediction": float(score[0])}
            for example, score in zip(examples, scores, strict=True)
        ]

    def score(self, examples: Sequence[Example], scores: Sequence[np.ndarray]) -> dict[str, Any]:
        """Correlations, which are 0, with a note, where all values are the same."""
        truth = np.array([example.label for example in examples])
        predicted = np.stack(scores)[:, 0]
        result: dict[str, Any] = {
            "pearson": pearson(truth, predicted),
            "spearman": spearman(truth, predicted),
            "collapsed": is_constant(predicted) and not is_constant(truth),
        }
        for name, values in (("predictions", predicted), ("labels", truth)):
            if is_constant(values):
                note = f"all {name} are {values[0]:g}: no correlation is defined, 0 stands for it"
                result["report"] = {"note": note}
        return result
