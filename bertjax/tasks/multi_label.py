"""Multi-label classification: any number of classes an example, none included."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bertjax.config import FinetuneConfig
from bertjax.metrics.classification import Counts
from bertjax.tasks.label_column import Decided, LabelColumn, a_column_each, any_each
from bertjax.tasks.labels import check_varied, label_id, ordered_labels
from bertjax.tasks.sentences import (
    SentenceTask,
    all_labelled,
    encode_sentences,
    read_sentences,
    shown,
)
from bertjax.tasks.tables import row_account
from bertjax.tasks.task import Example, Prediction, Rows, label_of
from bertjax.text.account import Account
from bertjax.text.tokenizer import Tokenizer

THRESHOLD = 0.5  # a label is predicted from this probability on


def read(
    path: str, cfg: FinetuneConfig, labelled: bool = True, account: Account | None = None
) -> tuple[list[Example], int]:
    """Examples with a tuple of labels each, and how many bad rows were left out.

    Where `data.label` has commas, it names a column with 0 or 1 for each label.

    Raises:
        UserError: the file cannot be read, or a row is bad and is not to be skipped.
    """
    account = account or row_account(cfg.data)
    names = [name.strip() for name in cfg.data.label.split(",")]

    def decide(columns: list[LabelColumn]) -> Decided:
        if len(columns) > 1:
            return a_column_each(columns)
        return any_each(columns[0], cfg.data.label_separator, account)

    return read_sentences(path, cfg, labelled, decide, account, names)


def label_names(examples: Sequence[Example], named: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The labels of training examples in order of their ids; see `ordered_labels`.

    Raises:
        UserError: the labels are the same in every example, or one in `named` has no example.
    """
    check_varied(examples, (frozenset(example.label) for example in examples))
    if examples[0].declared:
        return named or examples[0].declared
    found = {label for example in examples for label in example.label}
    return ordered_labels(examples, found, named)


class MultiLabel(SentenceTask):
    """Any of `labels` for every text or pair; scores are probabilities float64 [C]."""

    metrics: tuple[str, ...] = ("micro_f1", "macro_f1", "exact_match")

    def __init__(self, cfg: FinetuneConfig, labels: tuple[str, ...]):
        self.data = cfg.data
        self.labels = labels
        self._ids = {label: i for i, label in enumerate(labels)}

    def encode(self, examples: Sequence[Example], tokenizer: Tokenizer) -> Rows:
        """Rows with the target `label` float32 [R, C]; see `Task.encode`."""
        truth = self._truth(examples) if all_labelled(examples) else None
        rows = encode_sentences(examples, tokenizer, self.data)
        if truth is not None:
            rows.fixed["label"] = truth[rows.examples].astype(np.float32)
        return rows

    def predict(
        self, examples: Sequence[Example], scores: Sequence[np.ndarray]
    ) -> list[Prediction]:
        """The labels from THRESHOLD on, and the probability of each; all in order of ids."""
        return [
            {
                **shown(example),
                **label_of(self._ordered(example.label)),
                "prediction": [self.labels[i] for i in np.flatnonzero(score >= THRESHOLD)],
                "probabilities": dict(zip(self.labels, map(float, score), strict=True)),
            }
            for example, score in zip(examples, scores, strict=True)
        ]

    def _ordered(self, label: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return None if label is None else tuple(name for name in self.labels if name in label)

    def score(self, examples: Sequence[Example], scores: Sequence[np.ndarray]) -> dict[str, Any]:
        """Metrics and a table of classes; `exact_match` counts examples with no label wrong."""
        truth = self._truth(examples)
        predicted = np.stack(scores) >= THRESHOLD
        counts = Counts.of_sets(truth, predicted)
        one_answer = bool((predicted == predicted[0]).all())
        return {
            "micro_f1": counts.micro_f1(),
            "macro_f1": counts.macro_f1(),
            "exact_match": float((truth == predicted).all(axis=1).mean()),
            "collapsed": one_answer and not bool((truth == truth[0]).all()),
            "report": {"classes": counts.table(self.labels)},
        }

    def _truth(self, examples: Sequence[Example]) -> np.ndarray:
        """Bool [E, C]."""
        truth = np.zeros((len(examples), len(self.labels)), bool)
        for i, example in enumerate(examples):
            for label in example.label:
                truth[i, label_id(label, self._ids, example)] = True
        return truth
