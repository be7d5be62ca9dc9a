"""Rows of texts, and which of them are computed together: few shapes, little padding."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from bertjax import model
from bertjax.config import ModelConfig
from bertjax.errors import UserError
from bertjax.shapes import rounded_up
from bertjax.text.tokenizer import Tokenizer


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows end to end, each with its special tokens: row i is `tokens[starts[i]:starts[i + 1]]`."""

    tokens: np.ndarray  # int32 [sum of the lengths]
    starts: np.ndarray  # int64 [N + 1]

    @classmethod
    def of(cls, rows: Sequence[np.ndarray]) -> Rows:
        """Lay them end to end."""
        ends = np.cumsum([len(row) for row in rows], dtype=np.int64)
        return cls(np.concatenate([np.zeros(0, np.int32), *rows]), np.append(0, ends))

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each, int64 [N]."""
        return np.diff(self.starts)

    def table(self, chosen_B: np.ndarray, width: int, pad: int) -> np.ndarray:
        """The chosen rows, int32 [B, width], padded."""
        at_BT = self.starts[chosen_B][:, None] + np.arange(width)
        real_BT = at_BT < self.starts[chosen_B + 1][:, None]
        return np.where(real_BT, self.tokens[np.minimum(at_BT, len(self.tokens) - 1)], pad)


def encode_sentences(cfg: ModelConfig, tokenizer: Tokenizer, sentences: Sequence[str]) -> Rows:
    """A row of each sentence, whole.

    Raises:
        UserError: a sentence is longer than the model's positions.
    """
    ids = tokenizer.encode_batch(sentences, parse_special=True)
    rows = Rows.of([tokenizer.framing.row(pieces)[0] for pieces in ids])
    longest = int(np.argmax(rows.lengths)) if len(sentences) else 0
    if len(sentences) and rows.lengths[longest] > cfg.max_positions:
        raise UserError(
            f"{sentences[longest][:60]!r} has {rows.lengths[longest]} tokens, the model "
            f"{cfg.max_positions} positions: shorten the sentence or leave it out"
        )
    return rows


class Share(NamedTuple):
    """What is computed at once."""

    chosen: np.ndarray  # int64 [B], of what was planned; the last one again in places that fill up
    real: np.ndarray  # bool [B]: False where a place fills up
    width: int  # tokens of a row
    full: bool  # whether no row is shorter


def plan(
    lengths_N: np.ndarray, tokens_at_once: int, positions: int | None = None
) -> Iterator[Share]:
    """Everything of these lengths, the shortest first, at most `tokens_at_once` tokens in a share.

    Lengths share a shape as long as that costs no more padding than half a share, which takes less
    time to compute than a shape to compile. With the `positions` of a model all shapes are
    rounded up, so that other texts of a program have the same ones again.
    """
    order = np.argsort(lengths_N, kind="stable")
    sorted_N, begin = lengths_N[order], 0
    rounded_N = lengths_N if positions is None else np.minimum(rounded_up(lengths_N), positions)
    widths, counts = np.unique(rounded_N, return_counts=True)
    longer = np.append(widths, np.inf)[1:]
    for width, end, next_width in zip(widths.tolist(), np.cumsum(counts), longer, strict=True):
        if next_width * (end - begin) - sorted_N[begin:end].sum() <= tokens_at_once / 2:
            continue  # with the next length in one shape
        shares = -(-(end - begin) // max(1, tokens_at_once // max(width, 1)))
        size = -(-(end - begin) // shares)
        rows = size if positions is None else int(rounded_up(size))
        full = positions is None and bool(sorted_N[begin] == width)
        for first in range(begin, end, size):
            taken = np.arange(first, first + rows)
            real = taken < min(first + size, end)
            yield Share(order[np.minimum(taken, end - 1)], real, width, full)
        begin = end


def in_turn(
    shares: Iterator[Share], run: Callable[[Share], Array]
) -> Iterator[tuple[Share, np.ndarray]]:
    """Each share with what it gave: the device computes while the host makes the next ones.

    Products are of whole float32 operands, which GPUs and TPUs would round.
    """
    pending: list[tuple[Share, Array]] = []
    for share in shares:
        with jax.default_matmul_precision("highest"):
            pending.append((share, run(share)))
        if len(pending) > 2:
            before, found = pending.pop(0)
            yield before, np.asarray(found)
    for before, found in pending:
        yield before, np.asarray(found)


def device_batch(tokens_BT: Array, lengths_B: Array) -> dict[str, Any]:
    """The batch of `model.apply` that rows of one text make."""
    B, T = tokens_BT.shape
    positions_T = jnp.arange(T, dtype=jnp.int32)
    return {
        "tokens": tokens_BT,
        "token_types": jnp.zeros((B, T), jnp.int32),
        "positions": jnp.broadcast_to(positions_T, (B, T)),
        "segments": (positions_T < lengths_B[:, None]).astype(jnp.int32),
        "cls_positions": jnp.zeros((B, 1), jnp.int32),
    }


def how(full: bool) -> model.Compute:
    """Exactly, and without masks where no row is shorter than the others."""
    return model.Compute(rows="full" if full else "padded")
