"""Pretraining heads: masked LM on gathered positions, pooler, next-sentence classifier."""

from __future__ import annotations

import jax.numpy as jnp
from flax import nnx
from jax import Array
from jax.typing import DTypeLike

from bertjax.config import ModelConfig
from bertjax.facts import made_as
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


class Transform(nnx.Module):
    """Dense to the width of the word table, activation, norm (bert run_pretraining.py).

    The norm is a layer norm where the layers have affine ones (transformers
    modeling_mobilebert.py, MobileBertPredictionHeadTransform).
    """

    def __init__(self, cfg: ModelConfig, dtype: DTypeLike, rngs: nnx.Rngs):
        self.cfg = cfg
        self.dtype = dtype
        if cfg.head_transform:
            D, E, facts = cfg.hidden_size, cfg.transform_size, made_as("matrix", "embed", "mlp")
            self.transform = layers.dense(cfg, D, E, dtype, rngs, facts, bias=cfg.linear_bias)
            self.norm = layers.norm(cfg, dtype, E, statistics=True)

    def transformed(self, x_RD: Array) -> Array:
        """[R, D] -> [R, E]."""
        if not self.cfg.head_transform:
            return x_RD
        name = self.cfg.head_activation or self.cfg.activation
        return self.norm(layers.activation(name, self.transform(x_RD)))


class MaskedLMHead(Transform):
    """The transform, then the word table and a bias (bert run_pretraining.py).

    It sees only the K gathered positions, never the whole row: logits of every token would cost
    a fifth of a base model's FLOPs and most of its memory. A wide head's matrix is the word table
    beside one of its own, `extension` [V, D - E].
    """

    def __init__(self, cfg: ModelConfig, dtype: DTypeLike, rngs: nnx.Rngs):
        super().__init__(cfg, dtype, rngs)
        rows = cfg.padded_vocab_size
        if cfg.head_bias:
            self.bias = nnx.Param(jnp.zeros(rows), **made_as("vector", "vocab"))
        if cfg.wide_head:
            facts, width = made_as("table", "vocab", "embed"), cfg.hidden_size - cfg.table_size
            self.extension = layers.dense(cfg, rows, width, dtype, rngs, facts, bias=False)
        if not cfg.tied_head:
            values = layers.initializer(cfg)(rngs.params(), (rows, cfg.table_size), jnp.float32)
            self.decoder = nnx.Param(values, **made_as("table", "vocab", "embed"))

    def __call__(self, x_BKD: Array, table_VE: Array) -> Array:
        """[B, K, D] and the word table [V, E] -> float32 logits [B, K, V]."""
        cfg, (B, K, D) = self.cfg, x_BKD.shape
        x_RE = self.transformed(x_BKD.reshape(B * K, D))
        if cfg.wide_head:
            table_VE = jnp.concatenate([table_VE, self.extension.kernel[...]], axis=1)
        elif not cfg.tied_head:
            table_VE = self.decoder[...]
        logits_RV = float32_product("RE,VE->RV", x_RE, table_VE.astype(self.dtype))
        if cfg.head_bias:
            logits_RV = logits_RV + self.bias[...]
        real_V = jnp.arange(cfg.padded_vocab_size) < cfg.vocab_size
        logits_RV = jnp.where(real_V, logits_RV, jnp.finfo(jnp.float32).min)
        return logits_RV.reshape(B, K, -1)


class Pooler(nnx.Module):
    """Dense and tanh over the hidden state of each [CLS] (bert modeling.py), or another curve."""

    def __init__(self, cfg: ModelConfig, curve: str, dtype: DTypeLike, rngs: nnx.Rngs):
        self.curve = curve
        D, facts = cfg.hidden_size, made_as("matrix", "embed", "mlp")
        self.dense = layers.dense(cfg, D, D, dtype, rngs, facts)

    def __call__(self, cls_BMD: Array) -> Array:
        """[B, M, D] -> [B, M, D]."""
        x_BMD = self.dense(cls_BMD)
        return jnp.tanh(x_BMD) if self.curve == "tanh" else layers.activation(self.curve, x_BMD)


class NextSentenceHead(nnx.Module):
    """Two-way classifier; label 0 means the second segment follows (bert run_pretraining.py)."""

    def __init__(self, cfg: ModelConfig, rngs: nnx.Rngs):
        self.classifier = layers.dense(
            cfg, cfg.hidden_size, 2, jnp.float32, rngs, made_as("matrix")
        )

    def __call__(self, pooled_BMD: Array) -> Array:
        """[B, M, D] -> float32 logits [B, M, 2]."""
        return self.classifier(pooled_BMD.astype(jnp.float32))


class ReplacedTokenHead(nnx.Module):
    """Dense, activation, a logit a token (electra run_pretraining.py, _get_discriminator_output).

    A positive one says that the token is not the text's.
    """

    def __init__(self, cfg: ModelConfig, dtype: DTypeLike, rngs: nnx.Rngs):
        self.cfg = cfg
        D, facts = cfg.hidden_size, made_as("matrix", "embed", "mlp")
        self.dense = layers.dense(cfg, D, D, dtype, rngs, facts)
        self.output = layers.dense(cfg, D, 1, jnp.float32, rngs, made_as("matrix"))

    def __call__(self, x_BTD: Array) -> Array:
        """[B, T, D] -> float32 logits [B, T]."""
        B, T, D = x_BTD.shape
        x_RD = layers.activation(self.cfg.activation, self.dense(x_BTD.reshape(B * T, D)))
        return self.output(x_RD.astype(jnp.float32)).reshape(B, T)
