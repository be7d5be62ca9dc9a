"""Batches of several corpora, each with its share of the rows.

The rows of a phase go round in one fixed order, in which each corpus has its whole number of places
and these lie evenly. So the shares are exact in every round, and before it ends no corpus is more
than half a row for each corpus, and half a row, from its share. Which row stands at a place is
that corpus's own plan, so a batch is a function of its index as that of one corpus is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bertjax.config import DataConfig
from bertjax.data.assemble import Batch
from bertjax.data.batches import EVERY_ROW, Batches, BatchSource, Rows
from bertjax.data.corpus import Corpus


def training_batches(
    corpora: Mapping[str, Corpus], config: DataConfig, phase: int, seed: int
) -> Batches:
    """All batches of a phase; `corpora` are those of `config.paths` by name, one or several.

    Raises:
        UserError: a corpus that has a share has no row.
    """
    shares = config.shares(phase)
    sources = {
        name: BatchSource(corpus, config, phase, seed)
        for (name, corpus), share in zip(corpora.items(), shares, strict=True)
        if share
    }
    if len(sources) == 1:
        return next(iter(sources.values()))
    return Mixture(sources, [share for share in shares if share])


class Mixture:
    """Batches in which several sources take turns."""

    def __init__(self, sources: dict[str, BatchSource], shares: Sequence[int]):
        """`shares` are whole numbers of places in a round, one for each of the named `sources`."""
        self.sources, self.batch_size = sources, next(iter(sources.values())).batch_size
        self._shares = np.asarray(shares)
        places = [(np.arange(share) + 0.5) / share for share in shares]
        order = np.argsort(np.concatenate(places), kind="stable")
        self._turn = np.repeat(np.arange(len(shares)), shares)[order]  # whose each place is
        self._nth = np.concatenate([np.arange(share) for share in shares])[order]  # of its own
        rows = [source.rows_per_epoch for source in sources.values()]
        self._first_row = np.concatenate([[0], np.cumsum(rows)])

    def batch(self, index: int, rows: Rows = EVERY_ROW) -> Batch:
        """Make batch `index`, or the given rows of it, as `BatchSource.batch` does.

        In example_ids the rows of all corpora are numbered through, so that no two are alike.
        """
        streamed = np.arange(index * self.batch_size, (index + 1) * self.batch_size)[rows]
        rounds, place = np.divmod(streamed, len(self._turn))
        turn = self._turn[place]
        own = rounds * self._shares[turn] + self._nth[place]
        batch: Batch = {}
        for i, source in enumerate(self.sources.values()):
            mine = np.flatnonzero(turn == i)
            if not len(mine):
                continue
            part = source.streamed(own[mine])
            part["example_ids"][:, 1] += np.uint32(self._first_row[i])
            for name, array in part.items():
                whole = batch.setdefault(
                    name, np.empty((len(streamed), *array.shape[1:]), array.dtype)
                )
                whole[mine] = array
        return batch

    def describe(self, example_ids: np.ndarray) -> dict[str, Any]:
        """Say in JSON values which rows these are: `corpus` of each, `epoch_and_row` in that."""
        which = np.searchsorted(self._first_row, example_ids[:, 1], side="right") - 1
        rows = example_ids[:, 1] - self._first_row[which]
        names = list(self.sources)
        return {
            "corpus": [names[i] for i in which],
            "epoch_and_row": np.stack([example_ids[:, 0], rows], 1).tolist(),
        }
