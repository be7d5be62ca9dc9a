"""Lists of different lengths, kept end to end in flat arrays."""

from __future__ import annotations

import numpy as np


def ragged(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number the items of lists that have `counts` [n] items each.

    Returns for every item, int64 [sum(counts)]: which list it is in, and its place in that list.
    """
    owner = np.repeat(np.arange(len(counts)), counts)
    return owner, np.arange(len(owner)) - before(counts)[owner]


def before(counts: np.ndarray) -> np.ndarray:
    """Count the items in all earlier lists: the running sum that starts at 0, int64 [n]."""
    return np.cumsum(counts, dtype=np.int64) - counts
