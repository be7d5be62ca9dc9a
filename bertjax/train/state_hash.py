"""A hash of the state of a run, exact and the same on any mesh: what `bertjax replay` compares.

Every 32-bit word is mixed with its place by a bijection (the finalizer of MurmurHash3, Appleby
2011), and the results are added modulo 2^32. So a change of one word, were it one bit, always
changes the hash; other changes go unnoticed once in 2^32. Sums of integers do not depend on their
order, and thus not on which device holds what.
"""

from __future__ import annotations

import zlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from bertjax.tree import flatten

_GOLDEN = np.uint32(0x9E3779B1)  # odd, so that places differ after it
_WORDS = {4: jnp.uint32, 2: jnp.uint16, 1: jnp.uint8}


@jax.jit
def state_hash(state: Any) -> Array:
    """uint32 scalar: the hash of all arrays of a tree, their paths and their places."""
    total = jnp.zeros((), jnp.uint32)
    for name, leaf in flatten(state).items():
        total += _hash(jnp.asarray(leaf), np.uint32(zlib.crc32(name.encode())))
    return total


def shown(value: Any) -> str:
    """The hash as the log of a run has it."""
    return f"{int(value):08x}"


def _hash(leaf: Array, seed: np.uint32) -> Array:
    words = leaf if leaf.dtype == bool else leaf.view(_WORDS[leaf.dtype.itemsize])
    place, stride = jnp.zeros(leaf.shape, jnp.uint32), 1
    for axis in reversed(range(leaf.ndim)):
        step = np.uint32(stride % 2**32)
        place += jax.lax.broadcasted_iota(jnp.uint32, leaf.shape, axis) * step
        stride *= leaf.shape[axis]
    return jnp.sum(_mixed(words.astype(jnp.uint32) ^ (place + seed) * _GOLDEN), dtype=jnp.uint32)


def _mixed(word: Array) -> Array:
    word = (word ^ word >> 16) * np.uint32(0x85EBCA6B)
    word = (word ^ word >> 13) * np.uint32(0xC2B2AE35)
    return word ^ word >> 16
