"""From slices of the corpus to the arrays of a batch."""

from __future__ import annotations

import numpy as np

from bertjax.data.corpus import WORD, Corpus
from bertjax.data.ragged import before, ragged
from bertjax.data.rows import Spans

Batch = dict[str, np.ndarray]


def assemble(
    corpus: Corpus, spans: Spans, packed: np.ndarray, seq_len: int, max_packed: int
) -> Batch:
    """Lay examples out in rows of T = `seq_len`; row b takes the next `packed[b]` of them.

    `packed` is int64 [B], each at most M = `max_packed`; 0 makes an empty row. Returns

    tokens         int32 [B, T]  the pad id where there is nothing
    token_types    int32 [B, T]
    positions      int32 [B, T]  count from 0 in every example
    segments       int32 [B, T]  1..M: the example a token belongs to; 0: nothing here
    word_starts    bool [B, T]   first tokens of words and spans, and [CLS] and [SEP]
    cls_positions  int32 [B, M]  where each example begins; 0 where there is none
    pair_labels    int32 [B, M]  0 in order, 1 random or swapped, -1 none

    All tokens in use are first laid end to end, then broken into rows by one mask.
    """
    sizes = spans.sizes()
    row, slot = ragged(packed)
    cls = before(sizes)  # place of each [CLS] in the line of tokens
    line = np.arange(int(sizes.sum()))

    # A span's region on the line is what stands before it ([CLS] or nothing), the span, its [SEP].
    leads = spans.leads()
    region = leads + spans.length + 1
    region_start = before(region)
    source = line + np.repeat(spans.source - leads - region_start, region)
    # "clip": what is read under [CLS] and [SEP] may lie outside the corpus, and is replaced.
    tokens = np.take(corpus.tokens, source, mode="clip").astype(np.int32)
    words = np.take(corpus.boundaries, source, mode="clip") & WORD != 0
    sep = region_start + region - 1
    types = np.repeat(spans.token_type, region)
    for place in range(spans.more_separators):
        more = np.setdiff1d(region_start, cls) + place
        tokens[more], words[more], types[more] = corpus.special.sep, True, 0
    tokens[cls], tokens[sep] = corpus.special.cls, corpus.special.sep
    words[cls] = words[sep] = words[region_start + leads] = True

    row_sizes = np.bincount(row, sizes, minlength=len(packed)).astype(np.int64)
    used = np.arange(seq_len) < row_sizes[:, None]
    example_row_start = before(row_sizes)[row]
    cls_positions = np.zeros((len(packed), max_packed), np.int32)
    cls_positions[row, slot] = cls - example_row_start
    pair_labels = np.full((len(packed), max_packed), -1, np.int32)
    pair_labels[row, slot] = spans.labels
    return {
        "tokens": _in_rows(used, tokens, corpus.special.pad),
        "token_types": _in_rows(used, types),
        "positions": _in_rows(used, (line - np.repeat(cls, sizes)).astype(np.int32)),
        "segments": _in_rows(used, np.repeat((slot + 1).astype(np.int32), sizes)),
        "word_starts": _in_rows(used, words),
        "cls_positions": cls_positions,
        "pair_labels": pair_labels,
    }


def _in_rows(used: np.ndarray, line: np.ndarray, empty: int = 0) -> np.ndarray:
    rows = np.full(used.shape, empty, line.dtype)
    rows[used] = line
    return rows
