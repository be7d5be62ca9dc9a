"""Classification of texts and pairs: one class an example."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bertjax.config import FinetuneConfig
from bertjax.metrics.classification import Counts, accuracy, confusion_matrix, matthews
from bertjax.tasks.conventions import positive_label
from bertjax.tasks.label_column import one_each
from bertjax.tasks.labels import check_varied, label_id, ordered_labels
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
    """Examples with a label each, and how many bad rows were left out.

    Where `task.labels` names the labels, a row with another one is bad: so rows that annotators
    left open (SNLI's `-`) can be skipped.

    Raises:
        UserError: the file cannot be read, a row is bad and is not to be skipped, or the labels
            are of a type that is not of classes (`bertjax.tasks.label_column`).
    """
    account = account or row_account(cfg.data)
    return read_sentences(path, cfg, labelled, lambda c: one_each(c[0], account), account)


def label_names(examples: Sequence[Example], named: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The labels of training examples in order of their ids; see `ordered_labels`.

    Raises:
        UserError: all examples have one label, or a label in `named` has no example.
    """
    found = {example.label for example in examples}
    check_varied(examples, found)
    return ordered_labels(examples, found, named)


class Classification(SentenceTask):
    """One of `labels` for every text or pair; scores are probabilities float64 [C]."""

    metrics: tuple[str, ...] = ("accuracy", "macro_f1", "mcc")

    def __init__(self, cfg: FinetuneConfig, labels: tuple[str, ...]):
        self.data = cfg.data
        self.labels = labels
        self._ids = {label: i for i, label in enumerate(labels)}
        if len(labels) == 2:
            self.metrics = ("accuracy", "f1", *self.metrics[1:])
        self._positive = self._ids[positive_label(cfg.task, labels)]

    def encode(self, examples: Sequence[Example], tokenizer: Tokenizer) -> Rows:
        """Rows with the target `label` int32 [R]; see `Task.encode`."""
        classes = self._classes(examples) if all_labelled(examples) else None
        rows = encode_sentences(examples, tokenizer, self.data)
        if classes is not None:
            rows.fixed["label"] = classes[rows.examples]
        return rows

    def predict(
        self, examples: Sequence[Example], scores: Sequence[np.ndarray]
    ) -> list[Prediction]:
        """The likeliest label, and the probability of each."""
        return [
            {
                **shown(example),
                "prediction": self.labels[int(np.argmax(score))],
                "probabilities": dict(zip(self.labels, map(float, score), strict=True)),
            }
            for example, score in zip(examples, scores, strict=True)
        ]

    def score(self, examples: Sequence[Example], scores: Sequence[np.ndarray]) -> dict[str, Any]:
        """Metrics, the confusion matrix and a table of classes.

        `f1`, of two classes only, is of `task.positive`. `collapsed` says that all predictions
        are one class although the labels are not.
        """
        truth = self._classes(examples)
        predicted = np.argmax(scores, axis=1)
        confusion = confusion_matrix(truth, predicted, len(self.labels))
        counts = Counts.of_classes(confusion)
        numbers = {
            "accuracy": accuracy(confusion),
            "f1": float(counts.f1()[self._positive]),
            "macro_f1": counts.macro_f1(),
            "mcc": matthews(confusion),
        }
        return {name: numbers[name] for name in self.metrics} | {
            "collapsed": bool(len(np.unique(predicted)) == 1 < len(np.unique(truth))),
            "report": {
                "classes": counts.table(self.labels),
                "confusion": {"labels": list(self.labels), "counts": confusion.tolist()},
            },
        }

    def _classes(self, examples: Sequence[Example]) -> np.ndarray:
        """Class ids int32 [E]."""
        return np.array([label_id(each.label, self._ids, each) for each in examples], np.int32)
