"""The word embeddings that a run can move: those of the pieces in the rows it trains on.

The rows of a task hold a tenth of a vocabulary. No gradient reaches the embeddings of other pieces:
Adam leaves their moments at zero, and weight decay shrinks all of them by one factor. So a run
trains a small table, of the pieces that its rows hold and of a row of ones that no token looks up.
What training makes of the ones is that factor. With all-MiniLM-L6-v2 half of the weights are word
embeddings; most of their gradient, moments and updates is neither stored nor computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bertjax.config import FinetuneConfig
from bertjax.tasks.task import Rows
from bertjax.tree import flatten, unflatten

TABLE = "embeddings/word_embeddings/embedding"
_ROUND = 512  # rows; tables of like tasks have one size, and share what was compiled


def occurring(parts: Sequence[Rows], pad: int) -> np.ndarray:
    """The pieces in these rows, and padding, ascending int32."""
    tokens = [tokens for rows in parts for tokens in rows.tokens]
    return np.unique(np.concatenate([*tokens, np.array([pad])])).astype(np.int32)


class SmallTable:
    """A word table [V, E] float32, and its rows [K] that are trained."""

    def __init__(self, table: Any, pieces: np.ndarray):
        self.table, self.pieces = np.asarray(table), pieces
        # int32 [V]: where a piece lies in the small table.
        self.numbers = np.zeros(len(self.table), np.int32)
        self.numbers[pieces] = np.arange(len(pieces))

    def cut(self, trained: Any) -> Any:
        """Trained parameters with the small table, float32 [K + 1, E], in place of the whole."""
        ones = np.ones_like(self.table[:1])
        return _with_table(trained, np.concatenate([self.table[self.pieces], ones]))

    def whole(self, trained: Any) -> Any:
        """The inverse of `cut`, after training."""
        small = np.asarray(flatten(trained)[TABLE])
        table = self.table * small[-1]
        table[self.pieces] = small[:-1]
        return _with_table(trained, table)


def small_table(cfg: FinetuneConfig, trained: Any, pieces: np.ndarray) -> SmallTable | None:
    """How to train `pieces` of the word table alone, and as many others as make the size round.

    None where the table is not trained, where less than half of it would be saved, and with LAMB,
    whose step of a table has to do with all of it.
    """
    table = flatten(trained).get(TABLE)
    if table is None or cfg.optim.optimizer == "lamb":
        return None
    others = np.setdiff1d(np.arange(len(table)), pieces)
    missing = -(len(pieces) + 1) % _ROUND
    if 2 * (len(pieces) + missing) > len(table):
        return None
    return SmallTable(table, np.sort(np.concatenate([pieces, others[:missing]])))


def _with_table(trained: Any, table: np.ndarray) -> Any:
    return unflatten(flatten(trained) | {TABLE: table})
