"""Batches as a pure function of (corpus, data config, seed, step).

`BatchSource` plans the rows of one phase once and then makes any batch directly, so there is no
loader state: a run that resumes asks for the next step. Batches are cut from an endless stream of
epochs, each of which holds every row once, in an order of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np

from bertjax.config import DataConfig
from bertjax.data import keyed
from bertjax.data.assemble import Batch, assemble
from bertjax.data.corpus import Corpus
from bertjax.data.packing import Packing
from bertjax.data.pairs import Pairs
from bertjax.data.permutation import permuted
from bertjax.data.rows import BLOCK, Contiguous, Examples, FullRows
from bertjax.data.sharing import shared
from bertjax.errors import UserError

Rows = slice | np.ndarray  # of a batch, by number: those that are made
EVERY_ROW = slice(None)
_ORDER, _PAIRS = range(2)  # purposes of the keys derived from the seed


class Batches(Protocol):
    """All batches of a phase; `BatchSource` says what the methods mean."""

    def batch(self, index: int, rows: Rows = EVERY_ROW) -> Batch:  # noqa: D102
        ...

    def describe(self, example_ids: np.ndarray) -> dict[str, Any]:  # noqa: D102
        ...


class BatchSource:
    """All batches of one phase that are of one corpus.

    Pickling it carries the plan along, 8 to 12 bytes an example, which is faster than planning
    again, and names the files of a memory-mapped corpus.
    """

    def __init__(self, corpus: Corpus, config: DataConfig, phase: int, seed: int):
        """Plan the rows of `config.phases[phase]`; UserError if the corpus has none."""
        self.corpus = corpus = shared(corpus)
        self.seq_len = config.phases[phase].seq_len
        self.batch_size = config.phases[phase].batch_size
        self.max_packed = config.max_packed
        self._order_key = int(keyed.bits(seed, phase, _ORDER))
        self._examples = _plan_examples(
            corpus, config, self.seq_len, key=int(keyed.bits(seed, phase, _PAIRS))
        )
        self._packing: Packing | None = None
        if self.max_packed > 1:
            sizes = _example_sizes(self._examples)
            self._packing = Packing.plan(sizes, self.seq_len, self.max_packed)
        self.rows_per_epoch = len(self._packing or self._examples)
        if self.rows_per_epoch == 0:
            raise UserError(
                f"the corpus has {len(corpus.tokens)} tokens, which make 0 rows of "
                f"{self.seq_len}: prepare more text, at least one sentence (full_rows: one row)"
            )

    def batch(self, index: int, rows: Rows = EVERY_ROW) -> Batch:
        """Make batch `index` of this phase, or the given rows of it, bit for bit the same.

        The arrays are those of `assemble`, and example_ids uint32 [B, 2]: (epoch, row).
        """
        at = np.arange(index * self.batch_size, (index + 1) * self.batch_size)
        return self.streamed(at[rows])

    def streamed(self, at: np.ndarray) -> Batch:
        """Make a batch of the rows at places `at` [n] of the endless stream of epochs."""
        epoch, place = np.divmod(at, self.rows_per_epoch)
        return self._make(epoch, self._shuffle(epoch, place))

    def describe(self, example_ids: np.ndarray) -> dict[str, Any]:
        """Say in JSON values which rows these are."""
        return {"epoch_and_row": example_ids.tolist()}

    def in_order(self, first: int, count: int, size: int, rows: Rows = EVERY_ROW) -> Batch:
        """Make a batch of `size` rows from row `first` on in plan order, as epoch 0 has them.

        Rows from `count` on are empty. `rows` are those of the batch that are made.
        """
        row = np.arange(first, first + size)[rows]
        row[row >= min(count, self.rows_per_epoch)] = -1
        return self._make(np.zeros_like(row), row)

    def _shuffle(self, epoch: np.ndarray, place: np.ndarray) -> np.ndarray:
        """Row at each place [n] of its epoch's order: a permutation keyed by the epoch."""
        row = np.empty_like(place)
        for each in np.unique(epoch):
            seed = int(keyed.bits(self._order_key, each) >> np.uint64(32))
            row[epoch == each] = permuted(place[epoch == each], self.rows_per_epoch, seed)
        return row

    def _make(self, epoch: np.ndarray, row: np.ndarray) -> Batch:
        """Make a batch of the rows `row` [B] in epochs `epoch` [B]; row -1 is an empty row."""
        packed = (row >= 0).astype(np.int64)
        example = row[row >= 0]
        if self._packing:
            example, packed[row >= 0] = self._packing.examples(example)
        spans = self._examples.spans(example, np.repeat(epoch, packed))
        batch = assemble(self.corpus, spans, packed, self.seq_len, self.max_packed)
        batch["example_ids"] = np.stack([epoch, np.maximum(row, 0)], 1).astype(np.uint32)
        return batch


def _plan_examples(corpus: Corpus, config: DataConfig, seq_len: int, key: int) -> Examples:
    if config.format == "full_rows":
        return FullRows.plan(corpus, seq_len)
    if config.pairing is None:
        return Contiguous.plan(corpus, seq_len, config.format == "full_sentences")
    return Pairs.plan(
        corpus,
        seq_len,
        pairs=config.pairing.label,
        single_sentences=config.pairing.shape == "sentence_pair",
        short_seq_prob=config.short_seq_prob,
        key=key,
        # Packing needs lengths that hold in every epoch; a bound instead would waste most of the
        # row on short sentence pairs, and cutting partners to a bound would give the label away.
        fixed_partners=config.max_packed > 1,
    )


def _example_sizes(examples: Examples) -> np.ndarray:
    """Count the tokens of every example, uint32 [examples]."""
    sizes = np.empty(len(examples), np.uint32)
    for start in range(0, len(sizes), BLOCK):
        block = np.arange(start, min(start + BLOCK, len(sizes)))
        sizes[block] = examples.spans(block, np.zeros_like(block)).sizes()
    return sizes


def evaluation_batches(
    source: BatchSource, count: int, size: int, rows: Rows = EVERY_ROW
) -> Iterator[Batch]:
    """Yield the first `count` rows (all, if there are fewer) in plan order, `size` in a batch.

    The last batch is filled up with empty rows: segments 0 and pair_labels -1 throughout.
    """
    for first in range(0, min(count, source.rows_per_epoch), size):
        yield source.in_order(first, count, size, rows)
