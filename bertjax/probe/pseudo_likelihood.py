"""How likely a masked LM finds sentences: Salazar et al. 2020, one piece masked at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from bertjax import model
from bertjax.config import ModelConfig
from bertjax.errors import UserError
from bertjax.text.tokenizer import Tokenizer

_STEP = 8  # rows are as long as a multiple of this many tokens: few shapes, little padding


class Copies(NamedTuple):
    """Rows of one length, in each of which one piece will be masked."""

    tokens: np.ndarray  # int32 [B, T]
    lengths: np.ndarray  # int32 [B]: tokens that are not padding
    masked: np.ndarray  # int32 [B]: which of them is masked
    sentence: np.ndarray  # int64 [B]: whose likelihood it adds to; -1 for rows that fill up


def pseudo_log_likelihoods(
    cfg: ModelConfig,
    params: model.Params,
    tokenizer: Tokenizer,
    sentences: Sequence[str],
    tokens_at_once: int = 16_384,
) -> np.ndarray:
    """Sum over the pieces of each sentence of the log probability of each, itself masked.

    Args:
        cfg: the architecture.
        params: with a masked-LM head.
        tokenizer: the model's.
        sentences: texts that fit a row with their special tokens.
        tokens_at_once: tokens of a batch, padding included.

    Returns:
        Float64 [len(sentences)], in nats; a sentence without pieces has 0.

    Raises:
        UserError: a sentence is longer than the model's positions.
    """
    rows = [
        tokenizer.framing.row(ids)[0]
        for ids in tokenizer.encode_batch(sentences, parse_special=True)
    ]
    longest = max(range(len(rows)), key=lambda i: len(rows[i]), default=0)
    if rows and len(rows[longest]) > cfg.max_positions:
        raise UserError(
            f"{sentences[longest][:60]!r} has {len(rows[longest])} tokens, the model "
            f"{cfg.max_positions} positions: shorten the sentence or leave it out"
        )
    found = np.zeros(len(rows))
    pending: list[tuple[Copies, Array]] = []

    def collect() -> None:
        copies, scores = pending.pop(0)
        real = copies.sentence >= 0
        np.add.at(found, copies.sentence[real], np.asarray(scores, np.float64)[real])

    special = tokenizer.special
    for copies in _batches(rows, cfg.max_positions, special.pad, tokens_at_once):
        scores = _scores(cfg, special.mask, params, *copies[:3])
        pending.append((copies, scores))
        if len(pending) > 2:  # the device computes while the host makes the next rows
            collect()
    while pending:
        collect()
    return found


def _batches(
    rows: Sequence[np.ndarray], positions: int, pad: int, tokens_at_once: int
) -> Iterator[Copies]:
    """A copy of each row for each of its pieces, the shortest rows first, in few shapes."""
    lengths = np.array([len(row) for row in rows], np.int64)
    widths = np.minimum(-(-lengths // _STEP) * _STEP, positions)
    for width in np.unique(widths):
        chosen = np.flatnonzero(widths == width)
        table = np.full((len(chosen), width), pad, np.int32)
        for place, row in enumerate(chosen):
            table[place, : lengths[row]] = rows[int(row)]
        pieces = lengths[chosen] - 2  # what stands between [CLS] and [SEP]
        source = np.repeat(np.arange(len(chosen)), pieces)
        first = np.cumsum(pieces) - pieces
        masked = (np.arange(len(source)) - first[source] + 1).astype(np.int32)
        size = max(1, tokens_at_once // int(width))
        for begin in range(0, len(source), size):
            taken = np.arange(begin, begin + size)
            real = taken < len(source)
            taken = np.minimum(taken, len(source) - 1)
            at = source[taken]
            yield Copies(
                table[at],
                lengths[chosen[at]].astype(np.int32),
                masked[taken],
                np.where(real, chosen[at], -1),
            )


@partial(jax.jit, static_argnums=(0, 1))
def _scores(
    cfg: ModelConfig,
    mask: int,
    params: model.Params,
    tokens_BT: Array,
    lengths_B: Array,
    masked_B: Array,
) -> Array:
    """Log probability, float32 [B], of each row's masked token."""
    B, T = tokens_BT.shape
    rows_B = jnp.arange(B)
    labels_B = tokens_BT[rows_B, masked_B]
    positions_T = jnp.arange(T, dtype=jnp.int32)
    batch = {
        "tokens": tokens_BT.at[rows_B, masked_B].set(mask),
        "token_types": jnp.zeros((B, T), jnp.int32),
        "positions": jnp.broadcast_to(positions_T, (B, T)),
        "segments": (positions_T < lengths_B[:, None]).astype(jnp.int32),
        "cls_positions": jnp.zeros((B, 1), jnp.int32),
        "predict_positions": masked_B[:, None],
    }
    logits_BV = model.apply(cfg, params, batch)["masked_lm_logits"][:, 0]
    at_label_B = jnp.take_along_axis(logits_BV, labels_B[:, None], axis=-1)[:, 0]
    return at_label_B - jax.nn.logsumexp(logits_BV, axis=-1)
