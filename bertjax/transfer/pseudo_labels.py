"""Which of a teacher's labels a student learns from, and how much each row counts."""

from __future__ import annotations

import numpy as np

MASS = (5.0, 10.0)  # what pseudo-labels should weigh together, in weights of all labelled rows


def chosen(
    classes: np.ndarray, confidence: np.ndarray, threshold: float, per_class: int = 0
) -> np.ndarray:
    """Which rows are taken in: bool [R].

    Args:
        classes: int [R], what the teacher says.
        confidence: [R], its probability.
        threshold: the least confidence.
        per_class: of each class at most so many, the surest first and of equals the first; 0: all.
    """
    sure = confidence >= threshold
    if not per_class:
        return sure
    order = np.lexsort((np.arange(len(classes)), -confidence))
    taken = np.zeros(len(classes), bool)
    for c in np.unique(classes):
        taken[order[sure[order] & (classes[order] == c)][:per_class]] = True
    return taken


def row_weights(
    labelled: int, pseudo: int, weights: tuple[float, float], mean: str
) -> tuple[float, float]:
    """What a row of each kind counts in a mean over all of them.

    With W1 and W2 as `weights`, n labelled and m pseudo-labelled rows, the loss is
    (1/(n+m)) Σ W ℓ where `mean` is joint. Where it is each, it is (W1/n) Σ ℓ + (W2/m) Σ ℓ, which is
    the same mean with W1·(n+m)/n and W2·(n+m)/m.
    """
    if mean == "joint" or not pseudo:
        return weights
    total = labelled + pseudo
    return weights[0] * total / labelled, weights[1] * total / pseudo


def mass_ratio(labelled: int, pseudo: int, weights: tuple[float, float]) -> float:
    """m·W2 / (n·W1): what the rule m/n in [5·W1/W2, 10·W1/W2] holds between 5 and 10."""
    return pseudo * weights[1] / (labelled * weights[0])
