"""Pearson and Spearman correlation."""

from __future__ import annotations

import numpy as np


def pearson(x: np.ndarray, y: np.ndarray) -> float:
    """Linear correlation of two series [E]; 0 where either is constant and none is defined."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if is_constant(x) or is_constant(y):
        return 0.0
    # Divided by the largest first, so that no square overflows or vanishes.
    x, y = x - x.mean(), y - y.mean()
    x, y = x / np.abs(x).max(), y / np.abs(y).max()
    return float(np.clip(x @ y / np.sqrt((x @ x) * (y @ y)), -1.0, 1.0))


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    """Pearson's correlation of the ranks; equal values share the mean of their ranks."""
    return pearson(_ranks(x), _ranks(y))


def is_constant(values: np.ndarray) -> bool:
    """Whether no two values differ, so that nothing can correlate with them."""
    return len(values) == 0 or bool(np.min(values) == np.max(values))


def _ranks(values: np.ndarray) -> np.ndarray:
    _, value, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)  # of the ranks, from 1, that equal values take
    return (last - (counts - 1) / 2)[value]
