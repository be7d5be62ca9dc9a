"""How likely a language model finds sentences.

A masked LM scores a sentence by its pseudo-log-likelihood: one piece masked at a time (Salazar et
al. 2020). A causal one scores each piece by those before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from bertjax import model
from bertjax.config import ModelConfig
from bertjax.errors import UserError
from bertjax.probe.rows import Rows, Share, device_batch, encode_sentences, how, in_turn, plan
from bertjax.text.tokenizer import Tokenizer

SCORES = {
    "pll": "each piece masked by itself, the sum of log probabilities",
    "pll-word": "the later pieces of its word masked along with each piece",
    "slln": "pll over the square root of the number of pieces",
}
_SUBLINEAR = 0.5  # the exponent of ZhoBLiMP's SLLN-LP (Liu et al. 2024)


def pseudo_log_likelihoods(
    cfg: ModelConfig,
    params: model.Params,
    tokenizer: Tokenizer,
    sentences: Sequence[str],
    *,
    score: str = "pll",
    tokens_at_once: int = 16_384,
) -> np.ndarray:
    """How likely each sentence is, in nats; special tokens around it are not counted.

    `pll` adds up the log probability of each piece where it alone is masked. `pll-word` masks the
    later pieces of its word along, so that a long word is not guessed from its own end (Kauf &
    Ivanova 2023, PLL-word-l2r); `Tokenizer.starts_word` says where words begin. `slln` divides
    `pll` by the number of pieces to the power 0.5, for pairs of different length (Liu et al. 2024,
    ZhoBLiMP). Of a causal model `pll` and `slln` take the log probability of each piece after those
    before it.

    Args:
        cfg: the architecture.
        params: with a masked-LM head, or causal.
        tokenizer: the model's.
        sentences: texts that fit a row with their special tokens.
        score: a key of `SCORES`.
        tokens_at_once: tokens of a batch, padding included.

    Returns:
        Float64 [len(sentences)]; a sentence without pieces has 0.

    Raises:
        UserError: a sentence is longer than the model's positions; `pll-word` of a causal model.
    """
    rows = encode_sentences(cfg, tokenizer, sentences)
    if cfg.attention != "causal":
        found = _masked(cfg, params, tokenizer, rows, score == "pll-word", tokens_at_once)
    elif score == "pll-word":
        raise UserError(
            "--score pll-word with a causal model, which has no masks: give --score pll, which "
            "scores a causal model from left to right"
        )
    else:
        found = _causal(cfg, params, tokenizer, rows, tokens_at_once)
    if score == "slln":
        return found / np.maximum(rows.lengths - 2, 1) ** _SUBLINEAR
    return found


def _masked(
    cfg: ModelConfig,
    params: model.Params,
    tokenizer: Tokenizer,
    rows: Rows,
    words: bool,
    tokens_at_once: int,
) -> np.ndarray:
    """A copy of each row for each of its pieces, in which this one is masked."""
    pieces = rows.lengths - 2  # what stands between [CLS] and [SEP]
    source = np.repeat(np.arange(len(pieces)), pieces)
    masked = (np.arange(len(source)) - (np.cumsum(pieces) - pieces)[source] + 1).astype(np.int32)
    until = masked + 1  # where the mask ends
    if words:
        at = rows.starts[source] + masked
        begins = tokenizer.starts_word[rows.tokens].copy()
        begins[rows.starts[1:] - 1] = True  # [SEP] ends every word
        next_word = np.searchsorted(np.flatnonzero(begins), at, side="right")
        until = masked + (np.flatnonzero(begins)[next_word] - at).astype(np.int32)
    special = tokenizer.special

    def run(share: Share) -> Array:
        table = rows.table(source[share.chosen], share.width, special.pad)
        lengths = rows.lengths[source[share.chosen]].astype(np.int32)
        holes = masked[share.chosen], until[share.chosen]
        return _masked_scores(cfg, special.mask, share.full, params, table, lengths, *holes)

    found = np.zeros(len(pieces))
    for share, scores in in_turn(plan(rows.lengths[source], tokens_at_once), run):
        np.add.at(found, source[share.chosen[share.real]], scores[share.real])
    return found


def _causal(
    cfg: ModelConfig, params: model.Params, tokenizer: Tokenizer, rows: Rows, tokens_at_once: int
) -> np.ndarray:
    def run(share: Share) -> Array:
        table = rows.table(share.chosen, share.width, tokenizer.special.pad)
        lengths = rows.lengths[share.chosen].astype(np.int32)
        return _causal_scores(cfg, share.full, params, table, lengths)

    found = np.zeros(len(rows.lengths))
    # All logits of a row are needed at once.
    for share, scores in in_turn(plan(rows.lengths, tokens_at_once // 8), run):
        found[share.chosen[share.real]] = scores[share.real]
    return found


@partial(jax.jit, static_argnums=(0, 1, 2))
def _masked_scores(
    cfg: ModelConfig,
    mask: int,
    full: bool,
    params: model.Params,
    tokens_BT: Array,
    lengths_B: Array,
    masked_B: Array,
    until_B: Array,
) -> Array:
    """Log probability, float32 [B], of the token at `masked_B`; `until_B` ends the mask."""
    labels_B1 = jnp.take_along_axis(tokens_BT, masked_B[:, None], axis=1)
    places_T = jnp.arange(tokens_BT.shape[1])
    hidden_BT = (places_T >= masked_B[:, None]) & (places_T < until_B[:, None])
    batch = device_batch(jnp.where(hidden_BT, mask, tokens_BT), lengths_B)
    batch["predict_positions"] = masked_B[:, None]
    logits_BKV = model.masked_lm_logits(cfg, params, batch, compute=how(full))
    return log_probability(logits_BKV, labels_B1)[:, 0]


@partial(jax.jit, static_argnums=(0, 1))
def _causal_scores(
    cfg: ModelConfig, full: bool, params: model.Params, tokens_BT: Array, lengths_B: Array
) -> Array:
    """Sum over each row's pieces, float32 [B], of the log probability after those before it."""
    B, T = tokens_BT.shape
    batch = device_batch(tokens_BT, lengths_B)
    batch["predict_positions"] = jnp.broadcast_to(jnp.arange(T - 2), (B, T - 2))
    logits_BKV = model.masked_lm_logits(cfg, params, batch, compute=how(full))
    pieces_BK = jnp.arange(1, T - 1) < lengths_B[:, None] - 1
    return (log_probability(logits_BKV, tokens_BT[:, 1:-1]) * pieces_BK).sum(axis=1)


def log_probability(logits_BKV: Array, labels_BK: Array) -> Array:
    """Of each label, float32 [B, K]."""
    at_label_BK = jnp.take_along_axis(logits_BKV, labels_BK[..., None], axis=-1)[..., 0]
    return at_label_BK - jax.nn.logsumexp(logits_BKV, axis=-1)
