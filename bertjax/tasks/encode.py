"""Texts as rows: special tokens, truncation and windows, the same in every family."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bertjax.errors import UserError
from bertjax.text.special import SpecialIds


def frame(
    special: SpecialIds, first: Sequence[int], second: Sequence[int] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """[CLS] first [SEP], or [CLS] first [SEP] second [SEP] with token type 1 from `second` on.

    Returns int32 tokens and token types (google-research/bert run_classifier.py).
    """
    tokens = [special.cls, *first, special.sep]
    types = [0] * len(tokens)
    if second is not None:
        tokens += [*second, special.sep]
        types += [1] * (len(second) + 1)
    return np.array(tokens, np.int32), np.array(types, np.int32)


def truncate(length: int, budget: int, how: str) -> np.ndarray:
    """Indices of the tokens that are kept of `length`, at most `budget`, in order.

    `head` keeps the start, `tail` the end, `middle` cuts the middle out and keeps both ends: a
    quarter at the start and the rest at the end (Sun et al. 2019, "How to fine-tune BERT for text
    classification": 128 + 382 of 510).
    """
    kept = np.arange(length)
    if length <= budget:
        return kept
    if how == "head":
        return kept[:budget]
    if how == "tail":
        return kept[length - budget :]
    start = budget // 4
    return np.concatenate([kept[:start], kept[length - (budget - start) :]])


def shares(lengths: tuple[int, int], budget: int) -> tuple[int, int]:
    """How many tokens each text of a pair may keep: the longer one gives way token by token.

    On a tie the second does (google-research/bert run_classifier.py).
    """
    first, second = lengths
    excess = max(0, first + second - budget)
    if excess > abs(first - second):
        rest = excess - abs(first - second)
        shorter = min(first, second)
        # Both are as long as the shorter now; from here the second gives way first.
        return shorter - rest // 2, shorter - (rest - rest // 2)
    return (first - excess, second) if first > second else (first, second - excess)


def windows(length: int, size: int, step: int) -> list[tuple[int, int]]:
    """Windows [start, end) of at most `size` over `length` tokens, `step` from start to start.

    The last one ends at `length`; no token is left out (google-research/bert run_squad.py, where
    `step` is called doc_stride).
    """
    if not 0 < step <= size:
        raise UserError(
            f"data.window_step={step} for windows of {size} tokens would leave tokens out: use 1 "
            f"to {size}, or a larger data.max_length"
        )
    spans, start = [], 0
    while True:
        end = min(length, start + size)
        spans.append((start, end))
        if end == length:
            return spans
        start += step


def most_context(spans: Sequence[tuple[int, int]]) -> np.ndarray:
    """The window in which each token has most context, int64 [length].

    Context is the smaller of the tokens before and after it in the window, with a hundredth of
    the window's length to break ties, the earlier window first (google-research/bert run_squad.py).
    """
    length = spans[-1][1]
    best, owner = np.full(length, -1.0), np.zeros(length, np.int64)
    for i, (start, end) in enumerate(spans):
        place = np.arange(start, end)
        context = np.minimum(place - start, end - 1 - place) + 0.01 * (end - start)
        better = context > best[start:end]
        best[start:end] = np.where(better, context, best[start:end])
        owner[start:end] = np.where(better, i, owner[start:end])
    return owner
