"""Weights of models that are fitted: not negative, with the sum 1.

Axis letters: M models, R rows.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy  # whose parts load when they are asked for

_SMALLEST = 1e-12  # a probability, so that its logarithm is finite
_NOTHING = 1e-9  # a weight that the search leaves where 0 is meant


def fit_to_classes(right_MR: np.ndarray) -> np.ndarray:
    """The weights [M] whose mixture gives the true classes the lowest mean log-loss.

    The loss is convex in the weights, so there is one lowest value.

    Args:
        right_MR: the probability that each model gives the true class of each row.
    """
    right_MR = np.maximum(right_MR, _SMALLEST)

    def loss(weights_M: np.ndarray) -> tuple[float, np.ndarray]:
        mixed_R = weights_M @ right_MR
        return -float(np.log(mixed_R).mean()), -(right_MR / mixed_R).mean(axis=1)

    return _on_the_simplex(loss, len(right_MR))


def fit_to_numbers(values_MR: np.ndarray, truth_R: np.ndarray) -> np.ndarray:
    """The weights [M] whose mean has the lowest mean squared error.

    Args:
        values_MR: what each model says of each row.
        truth_R: the labels.
    """
    scale = float(np.var(truth_R)) or 1.0  # so that the stopping rule is the same in any unit

    def loss(weights_M: np.ndarray) -> tuple[float, np.ndarray]:
        error_R = weights_M @ values_MR - truth_R
        gradient_M = 2 * values_MR @ error_R / len(truth_R)
        return float(np.square(error_R).mean()) / scale, gradient_M / scale

    return _on_the_simplex(loss, len(values_MR))


def _on_the_simplex(
    loss: Callable[[np.ndarray], tuple[float, np.ndarray]], models: int
) -> np.ndarray:
    """The lowest point of a convex loss, from equal weights on: no draw decides anything."""
    total = {"type": "eq", "fun": lambda w: w.sum() - 1, "jac": lambda w: np.ones_like(w)}
    found = scipy.optimize.minimize(
        loss,
        np.full(models, 1 / models),
        jac=True,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * models,
        constraints=[total],
        options={"maxiter": 1000, "ftol": 1e-14},
    )
    weights = np.where(found.x > _NOTHING, found.x, 0.0)
    return weights / weights.sum()
