"""The parts of a transformer layer. What each of them computes is said by `ModelConfig`.

Axis letters: B batch, T tokens, D hidden size, W width inside a layer, which is D but for layers
with a bottleneck, N heads, H head size, F feed-forward size, R = B·T. Dense layers see activations
as [R, D]: XLA's CPU backend runs the backward pass of a flat product about 1.4 times as fast as of
a batched one, and TPU and GPU do not mind.

Parameters are float32. `dtype` is what matrices are multiplied in; softmax and layer norm are
always computed in float32.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from jax.sharding import PartitionSpec
from jax.typing import DTypeLike

from bertjax.config import LayerSpec, ModelConfig
from bertjax.facts import BIAS, made_as
from bertjax.model.attention import attend, choose
from bertjax.model.attention.reference import reference
from bertjax.model.compute import Compute
from bertjax.model.dropout import dropout
from bertjax.model.norm import Norm
from bertjax.model.rotary import Rotation, rotate


class Context(NamedTuple):
    """What every layer is told of a batch beside its hidden states."""

    segments: Array  # int [B, T]; 0 is padding
    rotations: dict[float, Rotation]  # by θ, as many as the layers use


class Dense(nnx.Linear):
    """A linear layer, and what tuning few weights adds to it, if something was put there."""

    # (inputs, dropout key) -> what is added to the outputs: `tuning/lora.py`.
    update: Callable[[Array, Array | None], Array] | None = None

    def __call__(self, x: Array, key: Array | None = None) -> Array:
        """[R, fan_in] -> [R, fan_out]; a key turns dropout on."""
        return self.updated(super().__call__(x), x, key)

    def updated(self, y: Array, x: Array, key: Array | None) -> Array:
        """The product `y` of `x`, and what is added to it."""
        return y if self.update is None else y + self.update(x, key)


def dense(
    cfg: ModelConfig,
    fan_in: int,
    fan_out: int,
    dtype: DTypeLike,
    rngs: nnx.Rngs,
    facts: dict[str, Any],
    *,
    bias: bool = True,
    scale: float = 1.0,
) -> Dense:
    """A linear layer with BERT's initialisation (normal truncated at two deviations).

    `facts` are those of the kernel, from `facts.made_as`; its deviation is times `scale`.
    """
    return Dense(
        fan_in,
        fan_out,
        use_bias=bias,
        dtype=dtype,
        kernel_init=initializer(cfg, scale),
        rngs=rngs,
        kernel_metadata=facts,
        bias_metadata=BIAS,
    )


def initializer(cfg: ModelConfig, scale: float = 1.0) -> jax.nn.initializers.Initializer:
    """Truncated normal of `initializer_range` (google-research/bert modeling.py)."""
    return jax.nn.initializers.truncated_normal(cfg.initializer_range * scale)


def branch_scale(cfg: ModelConfig) -> float:
    """Of the kernel that ends a branch, so that 2L sums do not grow (Shoeybi et al. 2019)."""
    return (2 * cfg.num_layers) ** -0.5 if cfg.scaled_init else 1.0


def norm(cfg: ModelConfig, dtype: DTypeLike, size: int = 0, *, statistics: bool = False) -> Norm:
    """The norm of this model over `size`, by default D, in float32; what comes out is `dtype`.

    With `statistics` it is a layer norm where the model's have none.
    """
    kind = "layer" if statistics and cfg.norm_kind == "affine" else cfg.norm_kind
    return Norm(kind, size or cfg.hidden_size, cfg.layer_norm_eps, dtype, bias=cfg.norm_bias)


def activation(name: str, x: Array) -> Array:
    """GELU in its exact (erf) or tanh form, ReLU, or SiLU; Google's BERT used tanh.

    Only x is kept for the backward pass, which computes the rest again: that halves what a wide
    layer keeps, and lets cuBLASLt compute the tanh form where the product before it ends.
    """
    if name == "relu":
        return jax.nn.relu(x)
    if name == "silu":
        return jax.checkpoint(jax.nn.silu)(x)
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
    """Multi-head self-attention, without its residual and norm (Vaswani et al. 2017, 3.2).

    With a bottleneck queries and keys are of a narrow state, and values of the whole one or of
    that too.
    """

    def __init__(self, cfg: ModelConfig, spec: LayerSpec, compute: Compute, rngs: nnx.Rngs):
        self.cfg = cfg
        self.spec = spec
        self.compute = compute
        W, into, out = cfg.inner_size, ("embed", "heads"), ("heads", "embed")

        def project(axes, width=W, scale=1.0):
            facts, bias = made_as("block_matrix", *axes), cfg.linear_bias
            return dense(cfg, width, W, compute.dtype, rngs, facts, bias=bias, scale=scale)

        self.query, self.key = project(into), project(into)
        self.value = project(into, W if cfg.narrow_values else cfg.hidden_size)
        self.output = project(out, scale=branch_scale(cfg))

    def __call__(
        self, x_RD: Array, context: Context, key: Array | None, narrow_RW: Array | None = None
    ) -> Array:
        """[R, D] -> [R, W]; queries and keys are of `narrow_RW` where there is a bottleneck."""
        cfg, spec, compute, (B, T) = self.cfg, self.spec, self.compute, context.segments.shape
        drops = key is not None and cfg.attention_dropout > 0
        call = compute.call(T, cfg.head_size, drops, spec.window)
        backend, _ = choose(compute.attention, call)
        projected = self.project(x_RD, key, narrow_RW)
        q_BTNH, k_BTNH, v_BTNH = (self.heads(x, context) for x in projected)
        if spec.rotary_base:
            by = context.rotations[spec.rotary_base]
            q_BTNH, k_BTNH = rotate(q_BTNH, by), rotate(k_BTNH, by)
        mixed_BTNH = attend(
            q_BTNH,
            k_BTNH,
            v_BTNH,
            context.segments,
            backend=backend,
            rows=compute.rows,
            window=spec.window,
            dropout_rate=cfg.attention_dropout,
            key=key,
        )
        return self.output(mixed_BTNH.reshape(B * T, cfg.inner_size), key)

    def at(self, x_RD: Array, context: Context, places_BK: Array) -> Array:
        """What comes out at these places of each row alone, without dropout: [B·K, D]."""
        q_BKNH = self.heads(self.query(pick(x_RD, places_BK)), context)
        k_BTNH, v_BTNH = self.heads(self.key(x_RD), context), self.heads(self.value(x_RD), context)
        if self.spec.rotary_base:
            by = context.rotations[self.spec.rotary_base]
            cosine, sine = (jnp.take_along_axis(x, places_BK[..., None, None], 1) for x in by)
            q_BKNH, k_BTNH = rotate(q_BKNH, (cosine, sine)), rotate(k_BTNH, by)
        segments = None if self.compute.rows == "full" else context.segments
        window = self.spec.window
        mixed_BKNH = reference(q_BKNH, k_BTNH, v_BTNH, segments, window, 0.0, None, places_BK)
        return self.output(mixed_BKNH.reshape(-1, x_RD.shape[-1]))

    def heads(self, x_RW: Array, context: Context) -> Array:
        """[R, W] -> [B, R/B, N, H]."""
        return x_RW.reshape(context.segments.shape[0], -1, self.cfg.num_heads, self.cfg.head_size)

    def project(
        self, x_RD: Array, key: Array | None, narrow_RW: Array | None
    ) -> tuple[Array, Array, Array]:
        """Queries, keys and values [R, W].

        In one product, but for GPUs: attention wants the three apart there, and joining and
        parting them would go through memory nine times. The kernels are joined on an axis of
        their own, so that each keeps the place that the mesh has for it.
        """
        if narrow_RW is not None:
            return self.query(narrow_RW, key), self.key(narrow_RW, key), self.value(x_RD, key)
        layers, dtype = (self.query, self.key, self.value), self.compute.dtype
        if self.compute.platform in ("gpu", "cuda"):
            return self.query(x_RD, key), self.key(x_RD, key), self.value(x_RD, key)
        kernels_DPD = jnp.stack([layer.kernel[...].astype(dtype) for layer in layers], axis=1)
        x_RPD = jnp.einsum("RD,DPE->RPE", x_RD, kernels_DPD)
        if self.cfg.linear_bias:
            x_RPD = x_RPD + jnp.stack([layer.bias[...].astype(dtype) for layer in layers])
        q_RD, k_RD, v_RD = (layer.updated(x_RPD[:, i], x_RD, key) for i, layer in enumerate(layers))
        return q_RD, k_RD, v_RD


class FeedForward(nnx.Module):
    """Two dense layers with an activation between (Vaswani et al. 2017, 3.3), or a gated one.

    A gated linear unit multiplies the activated half by another (Shazeer 2020, equation 6).
    """

    def __init__(self, cfg: ModelConfig, dtype: DTypeLike, rngs: nnx.Rngs):
        self.cfg = cfg
        W, F, bias = cfg.inner_size, cfg.intermediate_size, cfg.linear_bias
        into, out = (
            made_as("block_matrix", *axes) for axes in (("embed", "mlp"), ("mlp", "embed"))
        )
        self.intermediate = dense(cfg, W, F, dtype, rngs, into, bias=bias)
        self.output = dense(cfg, F, W, dtype, rngs, out, bias=bias, scale=branch_scale(cfg))
        if cfg.feed_forward == "glu":
            self.gate = dense(cfg, W, F, dtype, rngs, into, bias=bias)

    def __call__(self, x_RW: Array, key: Array | None) -> Array:
        """[R, W] -> [R, W]; a key turns the dropout of what was added on."""
        x_RF = activation(self.cfg.activation, self.intermediate(x_RW, key))
        if self.cfg.feed_forward == "glu":
            x_RF = x_RF * self.gate(x_RW, key)
        return self.output(x_RF, key)


class Adapter(Protocol):
    """What tuning few weights may put where a branch joins the state."""

    def joined(self, x_RD: Array, branch_RD: Array, normed: Callable[[Array], Array]) -> Array:
        """The state after the branch; `normed` is the norm of their sum in post-norm models."""


class Block(nnx.Module):
    """One encoder layer: attention and feed-forward, each with dropout, residual and norm."""

    # Where each branch joins the state, if something was put there.
    attention_adapter: Adapter | None = None
    feed_forward_adapter: Adapter | None = None

    def __init__(self, cfg: ModelConfig, spec: LayerSpec, compute: Compute, rngs: nnx.Rngs):
        self.cfg = cfg
        self.attention = SelfAttention(cfg, spec, compute, rngs)
        self.attention_norm = norm(cfg, compute.dtype) if spec.attention_norm else None
        self.feed_forward = FeedForward(cfg, compute.dtype, rngs)
        self.feed_forward_norm = norm(cfg, compute.dtype)

    def __call__(self, x_RD: Array, context: Context, key: Array | None) -> Array:
        """[R, D] -> [R, D] in the compute dtype; a key turns dropout on."""
        key_weights, key_attention, key_forward = split_key(key, 3)
        attended_RD = self.attention(self.inside(self.attention_norm, x_RD), context, key_weights)
        norm, adapter = self.attention_norm, self.attention_adapter
        x_RD = self.add(norm, adapter, x_RD, attended_RD, key_attention)
        return self.forward(x_RD, key_forward)

    def at(self, x_RD: Array, context: Context, places_BK: Array) -> Array:
        """What comes out at these places of each row alone, without dropout: [B·K, D]."""
        attended = self.attention.at(self.inside(self.attention_norm, x_RD), context, places_BK)
        norm, adapter = self.attention_norm, self.attention_adapter
        return self.forward(self.add(norm, adapter, pick(x_RD, places_BK), attended, None), None)

    def forward(self, x_RD: Array, key: Array | None) -> Array:
        """The second branch, in which no token sees another."""
        norm, adapter = self.feed_forward_norm, self.feed_forward_adapter
        branch_RD = self.feed_forward(self.inside(norm, x_RD), key)
        return self.add(norm, adapter, x_RD, branch_RD, key)

    def inside(self, norm: Norm | None, x_RD: Array) -> Array:
        """What a branch is given."""
        return norm(x_RD) if self.cfg.norm == "pre" and norm else x_RD

    def add(
        self,
        norm: Norm | None,
        adapter: Adapter | None,
        x_RD: Array,
        branch_RD: Array,
        key: Array | None,
    ) -> Array:
        """The sum with what a branch makes, normed in post-norm models."""
        branch_RD = dropout(branch_RD, self.cfg.hidden_dropout, key)

        def normed(sum_RD: Array) -> Array:
            return norm(sum_RD) if self.cfg.norm == "post" and norm else sum_RD

        if adapter is not None:
            return adapter.joined(x_RD, branch_RD, normed)
        return normed(x_RD + branch_RD)


def pick(x_RD: Array, places_BK: Array) -> Array:
    """The states of K places of each of B rows: [R, D] -> [B·K, D]."""
    B, K = places_BK.shape
    x_BTD = x_RD.reshape(B, -1, x_RD.shape[-1])
    return jnp.take_along_axis(x_BTD, places_BK[..., None], axis=1).reshape(B * K, -1)


def split_key(key: Array | None, count: int) -> list[Array] | list[None]:
    """Keys for `count` uses of dropout; none of them without a key."""
    return [None] * count if key is None else list(jax.random.split(key, count))
