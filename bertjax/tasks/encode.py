"""Truncation and windows, the same in every family."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bertjax.errors import UserError


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
    """How many tokens each text of a pair may keep: the longer one gives way to the shorter.

    Where both do, the one that was longer, on a tie the second, keeps the odd token: so does
    `truncation="longest_first"` of huggingface/tokenizers, which the exported model is served with.
    """
    shorter, longer = min(lengths), max(lengths)
    if shorter + longer > budget:
        longer = max(shorter, budget - shorter)
        if shorter + longer > budget:
            shorter, longer = budget // 2, budget - budget // 2
    return (longer, shorter) if lengths[0] > lengths[1] else (shorter, longer)


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
