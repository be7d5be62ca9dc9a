"""Norms with a backward pass of their own: beside their input they keep two numbers a row.

Autodiff of the same formula keeps and passes on float32 arrays as large as the activations.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from jax.typing import DTypeLike

from bertjax.facts import made_as


class Norm(nnx.Module):
    """Layer norm (Ba et al. 2016) or RMS norm (Zhang & Sennrich 2019), in float32; or no norm.

    An affine one is a scale and a bias alone (Sun et al. 2020, section 3.4.1, NoNorm).
    """

    def __init__(self, kind: str, size: int, eps: float, dtype: DTypeLike, *, bias: bool):
        self.kind = kind
        self.eps = eps
        self.dtype = dtype
        scale, shift = (made_as("vector", roles=("norm", *more)) for more in ((), ("bias",)))
        self.scale = nnx.Param(jnp.ones(size), **scale)
        self.bias = nnx.Param(jnp.zeros(size), **shift) if kind != "rms" and bias else None

    def __call__(self, x: Array) -> Array:
        """[..., D] of any float type -> the same shape in `dtype`."""
        bias = jnp.zeros(x.shape[-1]) if self.bias is None else self.bias[...]
        if self.kind == "affine":
            return (x.astype(jnp.float32) * self.scale[...] + bias).astype(self.dtype)
        return norm(x, self.scale[...], bias, self.eps, self.dtype, self.kind == "layer")


@partial(jax.custom_vjp, nondiff_argnums=(3, 4, 5))
def norm(
    x: Array, scale_D: Array, bias_D: Array, eps: float, dtype: DTypeLike, centred: bool
) -> Array:
    """(x − mean) / √(variance + eps) · scale + bias over the last axis, in float32.

    The variance is the mean square of x − mean: E[x²] − E[x]² loses digits that parity needs. An
    RMS norm is not centred: its mean is 0, and its variance the mean square of x.
    """
    return _forward(x, scale_D, bias_D, eps, dtype, centred)[0]


def _forward(x, scale_D, bias_D, eps, dtype, is_centred):
    wide = x.astype(jnp.float32)
    mean = jnp.mean(wide, axis=-1, keepdims=True) if is_centred else jnp.float32(0)
    centred = wide - mean
    factor = jax.lax.rsqrt(jnp.mean(jnp.square(centred), axis=-1, keepdims=True) + eps)
    return (centred * factor * scale_D + bias_D).astype(dtype), (x, scale_D, mean, factor)


def _backward(eps, dtype, is_centred, kept, dy):
    del eps, dtype
    # Without the barrier XLA merges this with the forward pass and keeps more after all.
    x, scale_D, mean, factor = jax.lax.optimization_barrier(kept)
    dy = dy.astype(jnp.float32)
    normed = (x.astype(jnp.float32) - mean) * factor
    inner = dy * scale_D
    along = jnp.mean(inner * normed, axis=-1, keepdims=True)
    shift = jnp.mean(inner, axis=-1, keepdims=True) if is_centred else 0.0
    dx = factor * (inner - shift - normed * along)
    rows = tuple(range(x.ndim - 1))
    return dx.astype(x.dtype), jnp.sum(dy * normed, axis=rows), jnp.sum(dy, axis=rows)


norm.defvjp(_forward, _backward)
