"""Few shapes for many sizes, so that a program's next call finds what an earlier one compiled."""

from __future__ import annotations

import numpy as np


def rounded_up(sizes: np.ndarray | int) -> np.ndarray:
    """The next of 1, 2, 3, 4, 6, 8, 12, 16, 24, ..., which is less than half more."""
    power = 2 ** np.ceil(np.log2(np.maximum(sizes, 1))).astype(np.int64)
    return np.where(sizes <= power * 3 // 4, power * 3 // 4, power)
