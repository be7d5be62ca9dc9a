"""Layer norm with a backward pass of its own: beside its input it keeps two numbers a row.

Autodiff of the same formula keeps and passes on float32 arrays as large as the activations.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array


class LayerNorm(nnx.Module):
    """Layer norm over the last axis (Ba et al. 2016), computed in float32."""

    def __init__(self, size: int, eps: float, dtype):
        self.eps = eps
        self.dtype = dtype
        self.scale = nnx.Param(jnp.ones(size))
        self.bias = nnx.Param(jnp.zeros(size))

    def __call__(self, x: Array) -> Array:
        """[..., D] of any float type -> the same shape in `dtype`."""
        return layer_norm(x, self.scale[...], self.bias[...], self.eps, self.dtype)


@partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def layer_norm(x: Array, scale_D: Array, bias_D: Array, eps: float, dtype) -> Array:
    """(x − mean) / √(variance + eps) · scale + bias over the last axis, in float32.

    The variance is the mean square of x − mean: E[x²] − E[x]² loses digits that parity needs.
    """
    return _forward(x, scale_D, bias_D, eps, dtype)[0]


def _forward(x, scale_D, bias_D, eps, dtype):
    wide = x.astype(jnp.float32)
    mean = jnp.mean(wide, axis=-1, keepdims=True)
    centred = wide - mean
    factor = jax.lax.rsqrt(jnp.mean(jnp.square(centred), axis=-1, keepdims=True) + eps)
    return (centred * factor * scale_D + bias_D).astype(dtype), (x, scale_D, mean, factor)


def _backward(eps, dtype, kept, dy):
    del eps, dtype
    # Without the barrier XLA merges this with the forward pass and keeps more after all.
    x, scale_D, mean, factor = jax.lax.optimization_barrier(kept)
    dy = dy.astype(jnp.float32)
    normed = (x.astype(jnp.float32) - mean) * factor
    inner = dy * scale_D
    along = jnp.mean(inner * normed, axis=-1, keepdims=True)
    dx = factor * (inner - jnp.mean(inner, axis=-1, keepdims=True) - normed * along)
    rows = tuple(range(x.ndim - 1))
    return dx.astype(x.dtype), jnp.sum(dy * normed, axis=rows), jnp.sum(dy, axis=rows)


layer_norm.defvjp(_forward, _backward)
