"""Dropout whose draws are hashes of where they are used, so that no mask is ever stored.

A counter-based generator such as JAX's Threefry fills an array of random words, which is most of
what dropout costs, and the mask is kept for the backward pass. Here each number's draw is a hash of
the key and of the number's place, a dozen integer operations that XLA fuses into the product
itself, on every backend; the backward pass draws it again. A place is counted over the whole array,
so draws do not depend on how the array is divided over devices.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

_GOLDEN = 0x9E3779B9  # odd, so that distinct counts give distinct states


def dropout(x: Array, rate: float, key: Array | None) -> Array:
    """Zero a share `rate` of x, in 0 to below 1, and scale up the rest; no key means evaluation."""
    if key is None or not rate:
        return x
    return _drop(x, rate, jax.random.key_data(key))


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def _drop(x: Array, rate: float, words: Array) -> Array:
    threshold = np.uint32(min(round(rate * 2**32), 2**32 - 1))
    kept = draws(words, x.shape) >= threshold
    return jnp.where(kept, x.astype(jnp.float32) / (1 - rate), 0.0).astype(x.dtype)


def _forward(x: Array, rate: float, words: Array) -> tuple[Array, Array]:
    return _drop(x, rate, words), words


def _backward(rate: float, words: Array, cotangent: Array) -> tuple[Array, None]:
    return _drop(cotangent, rate, words), None  # dropout is linear, and its own transpose


_drop.defvjp(_forward, _backward)


@partial(jax.jit, static_argnums=1)  # traced once a shape
def draws(words: Array, shape: tuple[int, ...]) -> Array:
    """Uniform uint32 of this shape, a function of the uint32 [2 or more] `words` and the place.

    A place is a row, counted over all axes but the last, and a column. Each gets a state, from the
    first word and the second; the draw is the hash of both states, joined by exclusive or. So rows
    differ by a constant before the last hash, and none is another's shifted copy, as it could be if
    all places were counted in one sequence of 2**32.
    """
    row = jnp.zeros((*shape[:-1], 1), jnp.uint32)
    stride = 1
    for axis in reversed(range(len(shape) - 1)):
        row += jax.lax.broadcasted_iota(jnp.uint32, row.shape, axis) * np.uint32(stride % 2**32)
        stride *= shape[axis]
    column = jax.lax.iota(jnp.uint32, shape[-1])
    return _mix(_state(words[0], row) ^ _state(words[1], column))


def _state(word: Array, count: Array) -> Array:
    return _mix(word + (count + np.uint32(1)) * np.uint32(_GOLDEN))


def _mix(x: Array) -> Array:
    """A bijection of uint32 that changes half of the bits for each that changes.

    The constants are those of `lowbias32` (Wellons, "Prospecting for hash functions", 2018).
    """
    x = (x ^ (x >> 16)) * np.uint32(0x7FEB352D)
    x = (x ^ (x >> 15)) * np.uint32(0x846CA68B)
    return x ^ (x >> 16)
