"""What speaks of the usual faults, counted cheaply: in the text, in the batches, in the log.

Each sign is a number that a healthy run has on one side of a limit; `bertjax.review.causes` has the
limits. Nothing here trains or compiles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bertjax.data.assemble import Batch
from bertjax.data.corpus import WORD, Corpus
from bertjax.data.ragged import before
from bertjax.review.sample import spread

_SHORTEST = 8  # pieces of a sentence whose copies count: shorter ones are in any text
_PLACES = 1 << 12  # of a sentence that have a factor of their own in its hash
_BUCKETS = 1 << 12  # of pieces, where rows are likened to one another


@dataclass(frozen=True)
class TextSigns:
    """Of the training text, or of 4,000,000 tokens spread over it."""

    unknown: float  # share of the tokens that the tokenizer did not know
    pieces_a_word: float
    repeated: float  # share of the tokens of longer sentences that are copies of an earlier one
    commonest: int  # the id that is seen most often
    commonest_share: float  # of the known tokens


def text_signs(corpus: Corpus) -> TextSigns:
    """Count what the text says of its tokenizer and of itself."""
    parts = spread(len(corpus.tokens))
    tokens = np.concatenate([corpus.tokens[part] for part in parts])
    words = sum(int(np.count_nonzero(corpus.boundaries[part] & WORD)) for part in parts)
    counts = np.bincount(tokens, minlength=corpus.vocab_size)
    unknown = int(counts[corpus.special.unk])
    counts[corpus.special.unk] = 0
    return TextSigns(
        unknown=unknown / max(1, len(tokens)),
        pieces_a_word=len(tokens) / max(1, words),
        repeated=_repeated(corpus, parts),
        commonest=int(counts.argmax()),
        commonest_share=float(counts.max() / max(1, counts.sum())),
    )


def _repeated(corpus: Corpus, parts: Sequence[slice]) -> float:
    """Sentences are alike if their hashes are; one that is cut by a part's edge is left out."""
    factors = np.random.default_rng(0).integers(1, 2**63, _PLACES, np.uint64) * np.uint64(2) + 1
    hashes, lengths = [], []
    for part in parts:
        first, end = np.searchsorted(corpus.sentence_starts, [part.start, part.stop + 1])
        starts = np.asarray(corpus.sentence_starts[first:end], np.int64)
        if len(starts) < 2:
            continue
        sizes = np.diff(starts)
        tokens = np.asarray(corpus.tokens[starts[0] : starts[-1]], np.uint64) + np.uint64(1)
        place = np.arange(len(tokens)) - np.repeat(before(sizes), sizes)
        sums = np.add.reduceat(tokens * factors[place % _PLACES], before(sizes))
        hashes.append(sums[sizes >= _SHORTEST])
        lengths.append(sizes[sizes >= _SHORTEST])
    if not hashes:
        return 0.0
    size = np.concatenate(lengths)
    _, firsts = np.unique(np.concatenate(hashes), return_index=True)
    return float(1 - size[firsts].sum() / max(1, size.sum()))


@dataclass(frozen=True)
class RowSigns:
    """Of the rows that a run was given, in batches that lie evenly over it."""

    second_label: float | None  # share of the pairs that have label 1; None: rows are no pairs
    alike: float  # how much more rows of one batch resemble each other than those of two


def row_signs(batches: Sequence[Batch]) -> RowSigns:
    """Count what the batches say of the order of the text and of the labels of pairs."""
    labels = np.concatenate([batch["pair_labels"].ravel() for batch in batches])
    labels = labels[labels >= 0]
    rows = np.concatenate([_weighed(batch) for batch in batches])
    of_batch = np.repeat(np.arange(len(batches)), [len(batch["tokens"]) for batch in batches])
    document_share = (rows > 0).mean(axis=0)
    rows = rows * np.log(1 / np.maximum(document_share, 1 / len(rows)))
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    likeness, same = rows @ rows.T, of_batch[:, None] == of_batch
    within, across = same & ~np.eye(len(rows), dtype=bool), ~same
    base = float(likeness[across].mean()) if across.any() else 0.0
    return RowSigns(
        second_label=float(labels.mean()) if len(labels) else None,
        alike=float(likeness[within].mean()) / base if base > 0 and within.any() else 1.0,
    )


def _weighed(batch: Batch) -> np.ndarray:
    """How often each bucket of pieces is in each row, damped, float64 [B, buckets]."""
    B, _ = batch["tokens"].shape
    row, _ = np.nonzero(batch["segments"])
    piece = batch["tokens"][batch["segments"] != 0] % _BUCKETS
    counts = np.bincount(row * _BUCKETS + piece, minlength=B * _BUCKETS)
    return np.log1p(counts.reshape(B, _BUCKETS))


@dataclass(frozen=True)
class LogSigns:
    """Of what the run logged as it trained."""

    masked: float  # share of the real tokens that was predicted
    skipped: float  # share of the steps whose loss or gradient was not finite
    losses: Sequence[float]  # of each report that is finite
    reports: int  # how many there are, those that are not finite too


def log_signs(rows: Sequence[Mapping[str, Any]], loss: str) -> LogSigns:
    """Count what the log says; `loss` is the name of the metric."""
    trained = [row for row in rows if row["kind"] == "train"]
    last = trained[-1]
    return LogSigns(
        masked=last["predicted"] / max(1.0, last["tokens"]),
        skipped=last["skipped"] / max(1, last["step"]),
        losses=[row[loss] for row in trained if row.get(loss) is not None],
        reports=sum(loss in row for row in trained),
    )
