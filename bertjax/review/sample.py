"""A part of a corpus that is spread over all of it, so that a review costs seconds."""

from __future__ import annotations

import numpy as np

MOST = 4_000_000  # tokens
_PARTS = 64


def spread(length: int, most: int = MOST) -> list[slice]:
    """Slices of a line of `length`, in order and apart: all of it, or `most` in 64 equal parts."""
    if length <= most:
        return [slice(0, length)]
    starts = np.linspace(0, length - most // _PARTS, _PARTS).astype(np.int64).tolist()
    return [slice(start, start + most // _PARTS) for start in starts]
