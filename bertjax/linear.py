"""A linear classifier of features, such as frozen states: softmax regression."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy  # whose parts load when they are asked for: a second of a command that asks for none


class Linear(NamedTuple):
    """Logits of features: (x − mean) / scale · weights + bias."""

    mean: np.ndarray  # [D]
    scale: np.ndarray  # [D]
    weights: np.ndarray  # [D, C]
    bias: np.ndarray  # [C]

    def logits(self, x_ND: np.ndarray) -> np.ndarray:
        """Float [N, C]; −inf of a class that was not fitted."""
        return (x_ND - self.mean) / self.scale @ self.weights + self.bias

    def classes(self, x_ND: np.ndarray) -> np.ndarray:
        """The likeliest class of each row, int64 [N]."""
        return np.argmax(self.logits(x_ND), axis=1)

    def probabilities(self, x_ND: np.ndarray) -> np.ndarray:
        """Float [N, C], each row a distribution."""
        return scipy.special.softmax(self.logits(x_ND), axis=1)


def softmax_regression(
    x_ND: np.ndarray, y_N: np.ndarray, classes: int, l2: float = 1.0, *, exact: bool = False
) -> Linear:
    """Fit classes to features, each feature brought to mean 0 and deviation 1.

    Lowest is the sum of the cross-entropies plus l2/2 times the sum of the squared weights, of
    which the bias is none: scikit-learn's LogisticRegression(C=1/l2) behind a StandardScaler.

    Args:
        x_ND: float features.
        y_N: int classes below `classes`; those that do not occur are never the likeliest.
        classes: C.
        l2: how much large weights cost.
        exact: of few features, in double precision, until nothing changes in six digits.
    """
    dtype = np.float64 if exact else np.float32
    N, D = x_ND.shape
    mean, deviation = x_ND.mean(axis=0, dtype=np.float64), x_ND.std(axis=0, dtype=np.float64)
    scale = np.where(deviation > 0, deviation, 1.0)
    x_ND = ((x_ND - mean) / scale).astype(dtype)
    seen, y_N = np.unique(y_N, return_inverse=True)
    C, rows = len(seen), np.arange(N)

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights_DC, bias_C = flat[:-C].reshape(D, C), flat[-C:]
        logs_NC = scipy.special.log_softmax(x_ND @ weights_DC.astype(dtype) + bias_C, axis=1)
        total = -logs_NC[rows, y_N].sum() + l2 / 2 * np.square(weights_DC).sum()
        errors_NC = np.exp(logs_NC)
        errors_NC[rows, y_N] -= 1
        gradient_DC = x_ND.T @ errors_NC.astype(dtype) + l2 * weights_DC
        # Per example, so that the stopping rule is the same for any number of them.
        return total / N, np.append(gradient_DC, errors_NC.sum(axis=0)) / N

    def curvature(flat: np.ndarray, along: np.ndarray) -> np.ndarray:
        """The Hessian of `loss` times a vector."""
        logits_NC = x_ND @ flat[:-C].reshape(D, C) + flat[-C:]
        step_DC, step_NC = along[:-C].reshape(D, C), x_ND @ along[:-C].reshape(D, C) + along[-C:]
        p_NC = scipy.special.softmax(logits_NC, axis=1)
        turned_NC = p_NC * (step_NC - (p_NC * step_NC).sum(axis=1, keepdims=True))
        turned_DC = x_ND.T @ turned_NC + l2 * step_DC
        return np.append(turned_DC, turned_NC.sum(axis=0)) / N

    start = np.zeros((D + 1) * C)
    if exact:  # features that say nearly the same take L-BFGS four times as long
        found = scipy.optimize.minimize(
            loss, start, jac=True, hessp=curvature, method="Newton-CG", options={"xtol": 1e-8}
        )
    else:
        options = {"maxiter": 200, "gtol": 1e-5, "ftol": 1e-7}
        found = scipy.optimize.minimize(loss, start, jac=True, method="L-BFGS-B", options=options)
    weights, bias = np.zeros((D, classes)), np.full(classes, -np.inf)
    weights[:, seen], bias[seen] = found.x[:-C].reshape(D, C), found.x[-C:]
    return Linear(mean, scale, weights, bias)
