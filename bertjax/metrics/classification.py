"""Accuracy, precision, recall, F1 and Matthews correlation, from counts.

Every ratio whose denominator is zero is 0, as in scikit-learn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


def confusion_matrix(truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Counts int64 [C, C] of class ids [E]: a row for each true class, a column a prediction."""
    cells = np.asarray(truth, np.int64) * classes + np.asarray(predicted, np.int64)
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def accuracy(confusion: np.ndarray) -> float:
    """Share of the examples on the diagonal."""
    return _ratio(np.trace(confusion), confusion.sum()).item()


def matthews(confusion: np.ndarray) -> float:
    """Matthews correlation coefficient, for any number of classes (Gorodkin 2004, R_K).

    0 where all truths or all predictions are one class.
    """
    counts = confusion.astype(np.float64)
    total, truth, predicted = counts.sum(), counts.sum(axis=1), counts.sum(axis=0)
    covariance = np.trace(counts) * total - truth @ predicted
    spread = (total**2 - truth @ truth) * (total**2 - predicted @ predicted)
    return _ratio(covariance, np.sqrt(spread)).item()


@dataclass(frozen=True)
class Counts:
    """What precision, recall and F1 are made of: a number a class, int64 [C]."""

    hits: np.ndarray  # predicted and true
    predicted: np.ndarray
    true: np.ndarray  # the support
    all_count: bool  # in macro F1 also classes that occur nowhere, with 0

    @classmethod
    def of_classes(cls, confusion: np.ndarray) -> Counts:
        """Of a confusion matrix [C, C]: every example has one class."""
        return cls(np.diagonal(confusion), confusion.sum(axis=0), confusion.sum(axis=1), False)

    @classmethod
    def of_sets(cls, truth: np.ndarray, predicted: np.ndarray) -> Counts:
        """Of bool matrices [E, C]: every example has any number of classes."""
        hits = (truth & predicted).sum(axis=0)
        return cls(hits, predicted.sum(axis=0), truth.sum(axis=0), True)

    def precision(self) -> np.ndarray:
        """Float64 [C]."""
        return _ratio(self.hits, self.predicted)

    def recall(self) -> np.ndarray:
        """Float64 [C]."""
        return _ratio(self.hits, self.true)

    def f1(self) -> np.ndarray:
        """Float64 [C]."""
        return _ratio(2 * self.hits, self.predicted + self.true)

    def macro_f1(self) -> float:
        """Mean F1 of the classes, as scikit-learn's `f1_score(average="macro")` takes it.

        Of examples with one class, those of the classes that occur, in truth or in prediction; of
        sets of classes, those of all.
        """
        occurs = (self.predicted + self.true > 0) | self.all_count
        return _ratio(self.f1()[occurs].sum(), occurs.sum()).item()

    def micro_f1(self) -> float:
        """F1 of the counts of all classes together."""
        return _ratio(2 * self.hits.sum(), (self.predicted + self.true).sum()).item()

    def table(self, names: tuple[str, ...]) -> dict[str, dict[str, float | int]]:
        """Precision, recall, F1 and support of each class by name, for a report."""
        columns = zip(self.precision(), self.recall(), self.f1(), self.true, strict=True)
        return {
            name: {
                "precision": float(precision),
                "recall": float(recall),
                "f1": float(f1),
                "support": int(support),
            }
            for name, (precision, recall, f1, support) in zip(names, columns, strict=True)
        }


def _ratio(numerator: np.ndarray | float, denominator: np.ndarray | float) -> np.ndarray:
    top, bottom = np.asarray(numerator, np.float64), np.asarray(denominator, np.float64)
    return np.divide(top, bottom, out=np.zeros_like(bottom), where=bottom != 0)
