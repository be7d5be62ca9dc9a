"""Pretraining heads: masked LM on gathered positions, pooler, next-sentence classifier."""

from __future__ import annotations

import jax.numpy as jnp
from flax import nnx
from jax import Array

from bertjax.config import ModelConfig
from bertjax.model import layers
from bertjax.model.product import float32_product


def gather_positions(x_BTD: Array, positions_BK: Array) -> Array:
    """Rows of x at the given positions: [B, T, D], int [B, K] -> [B, K, D]."""
    picked_BKD = jnp.take_along_axis(x_BTD, positions_BK[:, :, None], axis=1)
    return layers.shard_batch_axis(picked_BKD)


def gather_places(x_LWD: Array, places_BT: Array) -> Array:
    """Rows that share lines, each by itself: [L, W, D], int [B, T] -> [B, T, D].

    Places are numbered through all lines; at -1, for padding, any state stands.
    """
    picked_BTD = x_LWD.reshape(-1, x_LWD.shape[-1])[jnp.maximum(places_BT, 0)]
    return layers.shard_batch_axis(picked_BTD)


class MaskedLMHead(nnx.Module):
    """Dense, activation, norm, then the word table and a bias (bert run_pretraining.py).

    It sees only the K gathered positions, never the whole row: logits of every token would cost
    a fifth of a base model's FLOPs and most of its memory.
    """

    def __init__(self, cfg: ModelConfig, dtype, rngs: nnx.Rngs):
        self.cfg = cfg
        self.dtype = dtype
        self.transform = layers.dense(cfg, cfg.hidden_size, cfg.hidden_size, dtype, rngs)
        self.norm = layers.layer_norm(cfg, dtype)
        self.bias = nnx.Param(jnp.zeros(cfg.padded_vocab_size))

    def __call__(self, x_BKD: Array, table_VD: Array) -> Array:
        """[B, K, D] and the tied word table [V, D] -> float32 logits [B, K, V]."""
        cfg, (B, K, D) = self.cfg, x_BKD.shape
        x_RD = self.transform(x_BKD.reshape(B * K, D))
        x_RD = self.norm(layers.activation(cfg.head_activation, x_RD))
        logits_RV = float32_product("RD,VD->RV", x_RD, table_VD.astype(self.dtype))
        logits_RV = logits_RV + self.bias[...]
        real_V = jnp.arange(cfg.padded_vocab_size) < cfg.vocab_size
        logits_RV = jnp.where(real_V, logits_RV, jnp.finfo(jnp.float32).min)
        return logits_RV.reshape(B, K, -1)


class Pooler(nnx.Module):
    """Dense and tanh over the hidden state of each [CLS] (bert modeling.py)."""

    def __init__(self, cfg: ModelConfig, dtype, rngs: nnx.Rngs):
        self.dense = layers.dense(cfg, cfg.hidden_size, cfg.hidden_size, dtype, rngs)

    def __call__(self, cls_BMD: Array) -> Array:
        """[B, M, D] -> [B, M, D]."""
        return jnp.tanh(self.dense(cls_BMD))


class NextSentenceHead(nnx.Module):
    """Two-way classifier; label 0 means the second segment follows (bert run_pretraining.py)."""

    def __init__(self, cfg: ModelConfig, rngs: nnx.Rngs):
        self.classifier = layers.dense(cfg, cfg.hidden_size, 2, jnp.float32, rngs)

    def __call__(self, pooled_BMD: Array) -> Array:
        """[B, M, D] -> float32 logits [B, M, 2]."""
        return self.classifier(pooled_BMD.astype(jnp.float32))
