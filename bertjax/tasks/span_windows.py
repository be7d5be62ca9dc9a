"""Contexts of questions as windows of pieces, each of which knows its characters."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bertjax.config import ExamplesConfig
from bertjax.tasks.encode import most_context, truncate, windows
from bertjax.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class Context:
    """A context's pieces and the characters [start, end) of the text that each stands for."""

    text: str
    ids: np.ndarray  # int32 [n]
    starts: np.ndarray  # int64 [n], ascending
    ends: np.ndarray  # int64 [n], ascending

    def pieces_of(self, start: int, length: int) -> tuple[int, int] | None:
        """First and last piece that have a character of an answer; None if none has."""
        first = int(np.searchsorted(self.ends, start, "right"))
        last = int(np.searchsorted(self.starts, start + length, "left")) - 1
        return (first, last) if first <= last else None


def read_context(text: str, tokenizer: Tokenizer) -> Context:
    """The pieces of a context.

    A combining mark that the tokenizer strips belongs to the piece before it, so that an answer
    cut out of the text keeps its accents.
    """
    ids, offsets = tokenizer.encode_with_offsets(text, parse_special=True)
    places = np.array(offsets, np.int64).reshape(-1, 2)
    starts, ends = places[:, 0], places[:, 1].copy()
    if not text.isascii():
        limits = np.append(starts[1:], len(text))
        for i in np.flatnonzero(ends < limits):
            while ends[i] < limits[i] and unicodedata.combining(text[ends[i]]):
                ends[i] += 1
    return Context(text, np.array(ids, np.int32), starts, ends)


@dataclass(frozen=True)
class Window:
    """What one row holds of a context."""

    context: Context
    first: int  # where in the row its first piece stands
    pieces: np.ndarray  # int32 [k], which pieces of the context, ascending
    most_context: np.ndarray  # bool [k], whether this is the window to judge a piece in

    def place(self, first: int, last: int) -> tuple[int, int] | None:
        """Where in the row the pieces `first` to `last` stand; None if not all are here."""
        start, end = np.searchsorted(self.pieces, (first, last)).tolist()
        held = self.pieces[start : end + 1]
        whole = len(held) == last - first + 1 and held[0] == first and held[-1] == last
        return (self.first + start, self.first + end) if whole else None


def cut(context: Context, first: int, size: int, data: ExamplesConfig) -> list[Window]:
    """Windows of at most `size` pieces, by `data.window_step`; without it one, truncated."""
    length = len(context.ids)
    if not data.window_step:
        kept = truncate(length, size, data.truncation).astype(np.int32)
        return [Window(context, first, kept, np.ones(len(kept), bool))]
    spans: Sequence[tuple[int, int]] = windows(length, size, data.window_step)
    owner = most_context(spans)
    return [
        Window(context, first, np.arange(start, end, dtype=np.int32), owner[start:end] == i)
        for i, (start, end) in enumerate(spans)
    ]
