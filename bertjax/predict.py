"""Run a trained model on text."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bertjax import model
from bertjax.config import SENTENCE_FAMILIES, FinetuneConfig, ModelConfig
from bertjax.errors import UserError, nearest
from bertjax.probe.rows import Share, device_batch, encode_sentences, how, in_turn, plan
from bertjax.text.tokenizer import Tokenizer


class Guess(NamedTuple):
    """A piece and its probability at a mask."""

    piece: str
    probability: float


def fill_mask(
    cfg: ModelConfig, params: model.Params, tokenizer: Tokenizer, text: str, top: int = 5
) -> list[tuple[int, list[Guess]]]:
    """The `top` most probable pieces at each mask of `text`, with the mask's token position.

    Raises:
        UserError: no mask in the text, more tokens than the model has positions, or `top` is not 1
            to the number of pieces.
    """
    if not 1 <= top <= cfg.vocab_size:
        raise UserError(f"--top {top}: use 1 to {cfg.vocab_size}")
    mask = tokenizer.token(tokenizer.special.mask)
    row = encode_sentences(cfg, tokenizer, [text])
    masks = np.flatnonzero(row.tokens == tokenizer.special.mask)
    if not len(masks):
        raise UserError(f"no {mask} in {text[:60]!r}: write {mask} where a word is to be guessed")

    def run(share: Share) -> jax.Array:
        table = row.table(share.chosen, share.width, tokenizer.special.pad)
        places = np.resize(masks.astype(np.int32), table.shape)
        lengths = row.lengths[share.chosen].astype(np.int32)
        return _probabilities(cfg, params, table, lengths, places)

    ((_, probabilities),) = in_turn(plan(row.lengths, cfg.max_positions, cfg.max_positions), run)
    found = []
    for position, p in zip(masks.tolist(), probabilities[0], strict=False):
        best = np.argsort(-p[: tokenizer.vocab_size])[:top]  # later rows of the table mean nothing
        found.append((position, [Guess(tokenizer.token(int(i)), float(p[i])) for i in best]))
    return found


POOLINGS = ("mean", "cls")


def encode(
    cfg: ModelConfig,
    params: model.Params,
    tokenizer: Tokenizer,
    texts: Sequence[str],
    *,
    pooling: str = "mean",
    normalize: bool = False,
    longest: int | None = None,
    tokens_at_once: int = 8_192,
) -> np.ndarray:
    """A vector of each text, from the last hidden states.

    Args:
        cfg: the architecture.
        params: of the encoder at least.
        tokenizer: the model's.
        texts: each fits a row with its special tokens.
        pooling: `mean` is that of all tokens, special ones among them, as in sentence-transformers;
            `cls` is the state of [CLS].
        normalize: whether to scale each vector to length 1.
        longest: tokens of a text, special ones among them, after which its owner would cut it.
        tokens_at_once: tokens of a batch, padding included.

    Returns:
        Float32 [len(texts), hidden_size].

    Raises:
        UserError: another pooling, `cls` of a causal model, or a text longer than the model's
            positions or `longest`.
    """
    check_pooling(cfg, pooling)
    rows = encode_sentences(cfg, tokenizer, texts)
    place = int(np.argmax(rows.lengths)) if len(texts) else 0
    if longest is not None and len(texts) and rows.lengths[place] > longest:
        raise UserError(
            f"{texts[place][:60]!r} has {rows.lengths[place]} tokens, and the model's directory "
            f"cuts a text after {longest}: shorten it, or give pooling and normalize for vectors "
            f"of whole texts, up to {cfg.max_positions} tokens"
        )
    found = np.zeros((len(texts), cfg.hidden_size), np.float32)

    def run(share: Share) -> jax.Array:
        table = rows.table(share.chosen, share.width, tokenizer.special.pad)
        lengths = rows.lengths[share.chosen].astype(np.int32)
        return _pooled(cfg, pooling, normalize, params, table, lengths)

    for share, vectors in in_turn(plan(rows.lengths, tokens_at_once, cfg.max_positions), run):
        found[share.chosen[share.real]] = vectors[share.real]
    return found


def trained_pooling(cfg: FinetuneConfig) -> str:
    """The one of `POOLINGS` that a task's head was trained with; `mean` where it was neither."""
    pooling = cfg.head.pooling
    is_one = cfg.task.family in SENTENCE_FAMILIES and pooling in POOLINGS
    return pooling if is_one else "mean"


def check_pooling(cfg: ModelConfig, pooling: str) -> None:
    """Raise UserError if the model has no such vector of a text."""
    if pooling not in POOLINGS:
        raise UserError(f"pooling={pooling}: {nearest(pooling, POOLINGS)}")
    if pooling == "cls" and cfg.attention == "causal":
        raise UserError(
            "pooling=cls with a causal model, whose first token sees no other: use pooling=mean"
        )


@partial(jax.jit, static_argnums=(0, 1, 2))
def _pooled(
    cfg: ModelConfig,
    pooling: str,
    normalize: bool,
    params: model.Params,
    tokens_BT: jax.Array,
    lengths_B: jax.Array,
) -> jax.Array:
    """The vector of each row, float32 [B, D]."""
    batch = device_batch(tokens_BT, lengths_B)
    hidden_BTD = model.encode(cfg, params, batch, compute=how(full=False))
    if pooling == "cls":
        pooled_BD = hidden_BTD[:, 0]
    else:
        real_BT1 = (batch["segments"] > 0)[..., None]
        pooled_BD = jnp.where(real_BT1, hidden_BTD, 0).sum(axis=1) / lengths_B[:, None]
    if normalize:
        pooled_BD /= jnp.maximum(jnp.linalg.norm(pooled_BD, axis=1, keepdims=True), 1e-12)
    return pooled_BD


@partial(jax.jit, static_argnums=0)
def _probabilities(
    cfg: ModelConfig,
    params: model.Params,
    tokens_BT: jax.Array,
    lengths_B: jax.Array,
    places_BK: jax.Array,
) -> jax.Array:
    """Of every piece at each of the places, float32 [B, K, padded V]."""
    batch = device_batch(tokens_BT, lengths_B) | {"predict_positions": places_BK}
    logits = model.masked_lm_logits(cfg, params, batch, compute=how(full=False))
    return jax.nn.softmax(logits, axis=-1)
