"""Run a trained model on text."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bertjax import model
from bertjax.config import ModelConfig
from bertjax.errors import UserError
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
        UserError: no mask in the text, or more tokens than the model has positions.
    """
    special = tokenizer.special
    mask = tokenizer.token(special.mask)
    ids = tokenizer.framing.row(tokenizer.encode_batch([text], parse_special=True)[0])[0].tolist()
    masks = [i for i, token in enumerate(ids) if token == special.mask]
    if not masks:
        raise UserError(f"no {mask} in {text[:60]!r}: write {mask} where a word is to be guessed")
    if len(ids) > cfg.max_positions:
        raise UserError(
            f"the text has {len(ids)} tokens, the model {cfg.max_positions} positions: shorten it"
        )
    # Few shapes to compile: the row is padded to a power of two.
    width = min(cfg.max_positions, max(16, 1 << (len(ids) - 1).bit_length()))
    batch = one_row(ids, width, special.pad)
    batch["predict_positions"] = np.resize(np.array(masks, np.int32), (1, width))
    probabilities = np.asarray(_probabilities(cfg, params, batch))[0, : len(masks)]
    found = []
    for position, p in zip(masks, probabilities, strict=True):
        best = np.argsort(-p[: tokenizer.vocab_size])[:top]  # later rows of the table mean nothing
        found.append((position, [Guess(tokenizer.token(int(i)), float(p[i])) for i in best]))
    return found


def one_row(ids: list[int], width: int, pad: int) -> dict[str, np.ndarray]:
    """A batch of one row of `width` from ids with their special tokens."""
    tokens = np.full((1, width), pad, np.int32)
    tokens[0, : len(ids)] = ids
    segments = np.zeros((1, width), np.int32)
    segments[0, : len(ids)] = 1
    return {
        "tokens": tokens,
        "token_types": np.zeros((1, width), np.int32),
        "positions": np.arange(width, dtype=np.int32)[None],
        "segments": segments,
        "cls_positions": np.zeros((1, 1), np.int32),
    }


@partial(jax.jit, static_argnums=0)
def _probabilities(cfg: ModelConfig, params: model.Params, batch: dict) -> jax.Array:
    logits = model.apply(cfg, params, batch)["masked_lm_logits"]
    return jax.nn.softmax(jnp.asarray(logits), axis=-1)
