"""Stacking: a softmax regression that learns what to make of several models (Wolpert 1992).

Its features are the models' probabilities, of each model without its first class, as the others
say that one. Axis letters: M models, R rows, C classes.
"""

from __future__ import annotations

import numpy as np

from bertjax.linear import Linear, softmax_regression


def fit_stack(values_MRC: np.ndarray, truth_R: np.ndarray) -> Linear:
    """scikit-learn's LogisticRegression(C=1) behind a StandardScaler, of rows with known classes.

    A class that does not occur in `truth_R` is given the probability 0.

    Args:
        values_MRC: what the models say of rows that they were not trained on.
        truth_R: int classes.
    """
    return softmax_regression(_features(values_MRC), truth_R, values_MRC.shape[-1], exact=True)


def apply_stack(stack: Linear, values_MRC: np.ndarray) -> np.ndarray:
    """Probabilities float64 [R, C]; zeros of a row of which no model says anything."""
    said_R = np.any(values_MRC, axis=(0, 2))
    return np.where(np.expand_dims(said_R, 1), stack.probabilities(_features(values_MRC)), 0.0)


def _features(values_MRC: np.ndarray) -> np.ndarray:
    kept = np.moveaxis(values_MRC[..., 1:], 0, 1)
    return kept.reshape(len(kept), -1)
