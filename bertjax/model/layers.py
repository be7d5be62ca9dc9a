"""Transformer layers. Later variants (rotary positions, GLU, RMSNorm, local attention) go here.

Axis letters: B batch, T tokens, D hidden size, N heads, H head size, F feed-forward size,
R = B·T. Dense layers see activations as [R, D]: XLA's CPU backend runs the backward pass of a
flat product about 1.4 times as fast as of a batched one, and TPU and GPU do not mind.

Parameters are float32. `dtype` is what matrices are multiplied in; softmax and layer norm are
always computed in float32.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from jax.sharding import PartitionSpec

from bertjax.config import ModelConfig
from bertjax.model.attention import attend, choose
from bertjax.model.attention.reference import dropout
from bertjax.model.compute import Compute
from bertjax.model.norm import LayerNorm


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


def layer_norm(cfg: ModelConfig, dtype) -> LayerNorm:
    """LayerNorm over D in float32; what comes out is `dtype`."""
    return LayerNorm(cfg.hidden_size, cfg.layer_norm_eps, dtype)


def activation(name: str, x: Array) -> Array:
    """GELU in its exact (erf) or tanh form, or ReLU; Google's BERT used tanh.

    Only x is kept for the backward pass, which computes the rest again: that halves what a wide
    layer keeps, and lets cuBLASLt compute the tanh form where the product before it ends.
    """
    if name == "relu":
        return jax.nn.relu(x)
    return jax.checkpoint(partial(jax.nn.gelu, approximate=name == "gelu_tanh"))(x)


def shard_batch_axis(x: Array) -> Array:
    """Pin axis 0 to the mesh's batch axes; nothing outside a mesh.

    Sharded weights would otherwise tempt the partitioner to split activations along D.
    """
    if jax.sharding.get_abstract_mesh().empty:
        return x
    spec = PartitionSpec(("data", "fsdp"), *(None,) * (x.ndim - 1))
    return jax.lax.with_sharding_constraint(x, spec)


class SelfAttention(nnx.Module):
    """Multi-head self-attention, without its residual and norm (Vaswani et al. 2017, 3.2)."""

    def __init__(self, cfg: ModelConfig, compute: Compute, rngs: nnx.Rngs):
        self.cfg = cfg
        self.compute = compute
        self.query, self.key, self.value, self.output = (
            dense(cfg, cfg.hidden_size, cfg.hidden_size, compute.dtype, rngs) for _ in range(4)
        )

    def __call__(self, x_RD: Array, segments_BT: Array, key: Array | None) -> Array:
        """[R, D] and int [B, T] -> [R, D]."""
        cfg, compute, (B, T) = self.cfg, self.compute, segments_BT.shape
        drops = key is not None and cfg.attention_dropout > 0
        backend, _ = choose(compute.attention, compute.call(T, cfg.head_size, drops))
        q_BTNH, k_BTNH, v_BTNH = (
            x.reshape(B, T, cfg.num_heads, cfg.head_size) for x in self.project(x_RD)
        )
        mixed_BTNH = attend(
            q_BTNH,
            k_BTNH,
            v_BTNH,
            segments_BT,
            backend=backend,
            rows=compute.rows,
            dropout_rate=cfg.attention_dropout,
            key=key,
        )
        return self.output(mixed_BTNH.reshape(x_RD.shape))

    def project(self, x_RD: Array) -> tuple[Array, Array, Array]:
        """Queries, keys and values [R, D].

        In one product, but for GPUs: attention wants the three apart there, and joining and
        parting them would go through memory nine times. The kernels are joined on an axis of
        their own, so that each keeps the place that the mesh has for it.
        """
        layers, dtype = (self.query, self.key, self.value), self.compute.dtype
        if self.compute.platform in ("gpu", "cuda"):
            return self.query(x_RD), self.key(x_RD), self.value(x_RD)
        kernels_DPD = jnp.stack([layer.kernel[...].astype(dtype) for layer in layers], axis=1)
        biases_PD = jnp.stack([layer.bias[...].astype(dtype) for layer in layers])
        x_RPD = jnp.einsum("RD,DPE->RPE", x_RD, kernels_DPD) + biases_PD
        return x_RPD[:, 0], x_RPD[:, 1], x_RPD[:, 2]


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

    def __init__(self, cfg: ModelConfig, compute: Compute, rngs: nnx.Rngs):
        self.cfg = cfg
        self.attention = SelfAttention(cfg, compute, rngs)
        self.attention_norm = layer_norm(cfg, compute.dtype)
        self.feed_forward = FeedForward(cfg, compute.dtype, rngs)
        self.feed_forward_norm = layer_norm(cfg, compute.dtype)

    def __call__(self, x_RD: Array, segments_BT: Array, key: Array | None) -> Array:
        """[R, D] and int [B, T] -> [R, D] in the compute dtype; a key turns dropout on."""
        cfg = self.cfg
        key_weights, key_attention, key_forward = split_key(key, 3)

        def branch(x, norm, function, key_out):
            inside = norm(x) if cfg.norm == "pre" else x
            x = x + dropout(function(inside), cfg.hidden_dropout, key_out)
            return norm(x) if cfg.norm == "post" else x

        x_RD = branch(
            x_RD,
            self.attention_norm,
            lambda x: self.attention(x, segments_BT, key_weights),
            key_attention,
        )
        return branch(x_RD, self.feed_forward_norm, self.feed_forward, key_forward)


def split_key(key: Array | None, count: int) -> list[Array] | list[None]:
    """Keys for `count` uses of dropout; none of them without a key."""
    return [None] * count if key is None else list(jax.random.split(key, count))
