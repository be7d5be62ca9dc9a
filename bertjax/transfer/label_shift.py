"""How often each class is among rows without labels, told by a model of other shares.

Texts of a class are taken to be alike in both kinds of rows; only how often a class is there may
differ. C is the number of classes.
"""

from __future__ import annotations

import numpy as np

_STEPS, _CLOSE = 10_000, 1e-12


class NotInvertible(ValueError):
    """The errors of a model do not tell the classes apart."""


def em_shares(probabilities: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """The shares that make the rows likeliest (Saerens, Latinne & Decaestecker 2002, section 2.2).

    Args:
        probabilities: [R, C], the model's, right for rows in which classes have the shares `prior`.
        prior: [C], none of which is 0.

    Returns:
        [C], which sum up to 1.
    """
    ratios = np.asarray(probabilities, np.float64) / prior
    shares = np.array(prior, np.float64)
    for _ in range(_STEPS):
        joint = ratios * shares
        new = (joint / joint.sum(1, keepdims=True)).mean(0)
        if np.abs(new - shares).max() < _CLOSE:
            break
        shares = new
    return new


def bbse_shares(confusion: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """The share of each class from a model's errors (Lipton, Wang & Smola 2018, section 4).

    Ĉ⁻¹μ̂ is how many times more often a class is there than among the held-out rows, which Ĉ is made
    of: so its share is that times the sum of the class's column.

    Args:
        confusion: Ĉ [C, C], the share of held-out labelled rows that are predicted as the row's
            class and are of the column's.
        predicted: μ̂ [C], the shares of the predictions for rows without labels.

    Returns:
        [C], of 0 and more: what sampling makes negative is 0. Where nothing was, the sum is 1.

    Raises:
        NotInvertible: there is no Ĉ⁻¹, as where a class is not there or is never predicted.
    """
    if np.linalg.matrix_rank(confusion) < len(confusion):
        raise NotInvertible
    return np.maximum(np.linalg.solve(confusion, predicted), 0.0) * confusion.sum(axis=0)


def confusion_shares(predicted: np.ndarray, true: np.ndarray, classes: int) -> np.ndarray:
    """The matrix that `bbse_shares` takes, of class ids [E] of labelled rows."""
    counts = np.zeros((classes, classes))
    np.add.at(counts, (predicted, true), 1.0)
    return counts / len(true)


def shares_of(ids: np.ndarray, classes: int, weights: np.ndarray | None = None) -> np.ndarray:
    """The share of each class [C] among ids [E], or of their `weights`."""
    counts = np.bincount(ids, weights, classes).astype(np.float64)
    return counts / counts.sum()


def corrected(probabilities: np.ndarray, prior: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Probabilities [R, C] that are right where classes have `shares` and not `prior`, each [C]."""
    joint = np.asarray(probabilities, np.float64) * (shares / prior)
    return joint / joint.sum(1, keepdims=True)
