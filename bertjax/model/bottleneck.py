"""MobileBERT's layer: narrow inside, wide between layers (Sun et al. 2020, section 3.1, fig. 1).

Axis letters are those of `layers.py`. What stands where, and what is dropped out, is as in
transformers modeling_mobilebert.py.
"""

from __future__ import annotations

from flax import nnx
from jax import Array
from jax.typing import DTypeLike

from bertjax.config import LayerSpec, ModelConfig
from bertjax.facts import made_as
from bertjax.model import layers
from bertjax.model.compute import Compute
from bertjax.model.dropout import dropout


class Resized(nnx.Module):
    """A dense layer from one width to another, and the norm of its result."""

    def __init__(
        self, cfg: ModelConfig, fan_in: int, fan_out: int, dtype: DTypeLike, rngs: nnx.Rngs
    ):
        narrows = fan_in == cfg.hidden_size
        facts = made_as("block_matrix", *(("embed", None) if narrows else (None, "embed")))
        scale = 1.0 if narrows else layers.branch_scale(cfg)
        self.dense = layers.dense(
            cfg, fan_in, fan_out, dtype, rngs, facts, bias=cfg.linear_bias, scale=scale
        )
        self.norm = layers.norm(cfg, dtype, fan_out)

    def __call__(self, x: Array) -> Array:
        """[R, fan_in] -> [R, fan_out]."""
        return self.norm(self.dense(x))


class BottleneckBlock(nnx.Module):
    """One encoder layer: to width W, attention and feed-forwards there, and back to width D.

    The state is narrowed for the residuals, and once more for queries and keys; its values are of
    itself. With `narrow_values` it is narrowed once, for all of these (MobileBERT-tiny). Each
    feed-forward has a residual and a norm of its own.
    """

    def __init__(self, cfg: ModelConfig, spec: LayerSpec, compute: Compute, rngs: nnx.Rngs):
        self.cfg = cfg
        D, W, dtype = cfg.hidden_size, cfg.bottleneck_size, compute.dtype
        self.narrow = Resized(cfg, D, W, dtype, rngs)
        if not cfg.narrow_values:
            self.narrow_attention = Resized(cfg, D, W, dtype, rngs)
        self.attention = layers.SelfAttention(cfg, spec, compute, rngs)
        self.attention_norm = layers.norm(cfg, dtype, W)
        for i in self._stack:
            setattr(self, f"feed_forward{i}", layers.FeedForward(cfg, dtype, rngs))
            setattr(self, f"feed_forward{i}_norm", layers.norm(cfg, dtype, W))
        self.widen = Resized(cfg, W, D, dtype, rngs)

    @property
    def _stack(self) -> list[str]:
        """What tells the feed-forwards apart; the last one is called as that of any other layer."""
        return [*(f"_{i}" for i in range(self.cfg.feed_forwards - 1)), ""]

    def __call__(self, x_RD: Array, context: layers.Context, key: Array | None) -> Array:
        """[R, D] -> [R, D] in the compute dtype; a key turns dropout on."""
        key_weights, key_out = layers.split_key(key, 2)
        y_RW = self.narrow(x_RD)
        if self.cfg.narrow_values:
            mixed_RW = self.attention(y_RW, context, key_weights)
        else:
            mixed_RW = self.attention(x_RD, context, key_weights, self.narrow_attention(x_RD))
        y_RW = self.attention_norm(mixed_RW + y_RW)
        for i in self._stack:
            feed_forward, norm = (getattr(self, f"feed_forward{i}{part}") for part in ("", "_norm"))
            y_RW = norm(feed_forward(y_RW, key_weights) + y_RW)
        widened_RD = dropout(self.widen.dense(y_RW), self.cfg.hidden_dropout, key_out)
        return self.widen.norm(widened_RD + x_RD)

    def at(self, x_RD: Array, context: layers.Context, places_BK: Array) -> Array:
        """What comes out at these places of each row alone, without dropout: [B·K, D]."""
        return layers.pick(self(x_RD, context, None), places_BK)  # it is narrow: little is lost
