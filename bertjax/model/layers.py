"""Transformer layers. Later variants (rotary positions, GLU, RMSNorm, local attention) go here.

Axis letters: B batch, T tokens, D hidden size, N heads, H head size, F feed-forward size,
R = B·T. Dense layers see activations as [R, D]: XLA's CPU backend runs the backward pass of a
flat product about 1.4 times as fast as of a batched one, and TPU and GPU do not mind.

Parameters are float32. `dtype` is what matrices are multiplied in; softmax and layer norm are
always computed in float32.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from jax.sharding import PartitionSpec

from bertjax.config import ModelConfig


def dense(cfg: ModelConfig, fan_in: int, fan_out: int, dtype, rngs: nnx.Rngs) -> nnx.Linear:
    """A linear layer with BERT's initialisation (normal truncated at two deviations)."""
    return nnx.Linear(
        fan_in,
        fan_out,
        dtype=dtype,
        kernel_init=initializer(cfg),
        rngs=rngs,
    )


def initializer(cfg: ModelConfig) -> jax.nn.initializers.Initializer:
    """Truncated normal of `initializer_range` (google-research/bert modeling.py)."""
    return jax.nn.initializers.truncated_normal(cfg.initializer_range)


def layer_norm(cfg: ModelConfig, rngs: nnx.Rngs) -> nnx.LayerNorm:
    """LayerNorm over D in float32."""
    return nnx.LayerNorm(
        cfg.hidden_size,
        epsilon=cfg.layer_norm_eps,
        dtype=jnp.float32,
        use_fast_variance=False,  # E[x²] − E[x]² loses the digits parity with PyTorch needs
        rngs=rngs,
    )


def activation(name: str, x: Array) -> Array:
    """GELU in its exact (erf) or tanh form, or ReLU; Google's BERT used tanh."""
    if name == "relu":
        return jax.nn.relu(x)
    return jax.nn.gelu(x, approximate=name == "gelu_tanh")


def dropout(x: Array, rate: float, key: Array | None) -> Array:
    """Zero a share `rate` of x and scale up the rest; `key=None` means evaluation."""
    if key is None or rate == 0.0:
        return x
    keep = jax.random.bernoulli(key, 1.0 - rate, x.shape)
    return jnp.where(keep, x / jnp.asarray(1.0 - rate, x.dtype), jnp.zeros((), x.dtype))


def shard_batch_axis(x: Array) -> Array:
    """Pin axis 0 to the mesh's batch axes; nothing outside a mesh.

    Sharded weights would otherwise tempt the partitioner to split activations along D.
    """
    if jax.sharding.get_abstract_mesh().empty:
        return x
    spec = PartitionSpec(("data", "fsdp"), *(None,) * (x.ndim - 1))
    return jax.lax.with_sharding_constraint(x, spec)


def attention_mask(segments: Array) -> Array:
    """[B, T] segment numbers -> bool [B, 1, T, T]: same segment, and not padding (0)."""
    same = segments[:, :, None] == segments[:, None, :]
    return (same & (segments != 0)[:, None, :])[:, None]


class SelfAttention(nnx.Module):
    """Multi-head self-attention, without its residual and norm (Vaswani et al. 2017, 3.2)."""

    def __init__(self, cfg: ModelConfig, dtype, rngs: nnx.Rngs):
        self.cfg = cfg
        self.query, self.key, self.value, self.output = (
            dense(cfg, cfg.hidden_size, cfg.hidden_size, dtype, rngs) for _ in range(4)
        )

    def __call__(self, x_RD: Array, mask_B1TT: Array, key: Array | None) -> Array:
        """[R, D] -> [R, D]."""
        cfg, (B, _, T, _) = self.cfg, mask_B1TT.shape
        heads = (B, T, cfg.num_heads, cfg.head_size)
        q_BTNH = self.query(x_RD).reshape(heads) * cfg.head_size**-0.5
        k_BTNH = self.key(x_RD).reshape(heads)
        v_BTNH = self.value(x_RD).reshape(heads)
        scores_BNTS = jnp.einsum(
            "BTNH,BSNH->BNTS", q_BTNH, k_BTNH, preferred_element_type=jnp.float32
        )
        # A finite floor, not -inf: a padding query sees no key, and must not become NaN.
        scores_BNTS = jnp.where(mask_B1TT, scores_BNTS, jnp.finfo(jnp.float32).min)
        weights_BNTS = jax.nn.softmax(scores_BNTS, axis=-1).astype(v_BTNH.dtype)
        weights_BNTS = dropout(weights_BNTS, cfg.attention_dropout, key)
        mixed_BTNH = jnp.einsum("BNTS,BSNH->BTNH", weights_BNTS, v_BTNH)
        return self.output(mixed_BTNH.reshape(x_RD.shape))


class FeedForward(nnx.Module):
    """Two dense layers with an activation between (Vaswani et al. 2017, 3.3)."""

    def __init__(self, cfg: ModelConfig, dtype, rngs: nnx.Rngs):
        self.cfg = cfg
        self.intermediate = dense(cfg, cfg.hidden_size, cfg.intermediate_size, dtype, rngs)
        self.output = dense(cfg, cfg.intermediate_size, cfg.hidden_size, dtype, rngs)

    def __call__(self, x_RD: Array) -> Array:
        """[R, D] -> [R, D]."""
        return self.output(activation(self.cfg.activation, self.intermediate(x_RD)))


class Block(nnx.Module):
    """One encoder layer: attention and feed-forward, each with dropout, residual and norm."""

    def __init__(self, cfg: ModelConfig, dtype, rngs: nnx.Rngs):
        self.cfg = cfg
        self.dtype = dtype
        self.attention = SelfAttention(cfg, dtype, rngs)
        self.attention_norm = layer_norm(cfg, rngs)
        self.feed_forward = FeedForward(cfg, dtype, rngs)
        self.feed_forward_norm = layer_norm(cfg, rngs)

    def __call__(self, x_RD: Array, mask_B1TT: Array, key: Array | None) -> Array:
        """[R, D] -> [R, D] in the compute dtype; a key turns dropout on."""
        cfg = self.cfg
        key_weights, key_attention, key_forward = split_key(key, 3)

        def branch(x, norm, function, key_out):
            inside = norm(x).astype(self.dtype) if cfg.norm == "pre" else x
            x = x + dropout(function(inside), cfg.hidden_dropout, key_out)
            return norm(x).astype(self.dtype) if cfg.norm == "post" else x

        x_RD = branch(
            x_RD,
            self.attention_norm,
            lambda x: self.attention(x, mask_B1TT, key_weights),
            key_attention,
        )
        return branch(x_RD, self.feed_forward_norm, self.feed_forward, key_forward)


def split_key(key: Array | None, count: int) -> list[Array] | list[None]:
    """Keys for `count` uses of dropout; none of them without a key."""
    return [None] * count if key is None else list(jax.random.split(key, count))
