"""A hash of the state of a run, exact and the same on any mesh: what `bertjax replay` compares.

Every 32-bit word of an array is mixed with its place by a bijection (the finalizer of MurmurHash3,
Appleby 2011), and the results are added modulo 2^32; so are those of the arrays, mixed with their
names. So a change of one word, were it one bit, always changes the hash; other changes go unnoticed
once in 2^32. Sums of integers do not depend on their order, and thus not on which device holds
what.
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

Hashes = dict[str, Array]  # path of an array -> uint32 scalar


def begin_hash(state: Any) -> Hashes:
    """Ask the devices for the hash of each array of a tree, and wait for none.

    A program a shape: one for all of them would take a third as long to compile as a step does.
    Several CPU devices are waited for, after each. They share a pool of threads, in which a program
    that waits for another keeps its thread: with many under way the first may find none.
    """
    hashes = {}
    for name, leaf in flatten(state).items():
        hashes[name] = _hash(leaf)
        if len(hashes[name].devices()) > 1 and jax.default_backend() == "cpu":
            jax.block_until_ready(hashes)
    return hashes


def end_hash(hashes: Hashes) -> str:
    """Wait for them; the hash of the tree, eight digits in hexadecimal."""
    found = np.array([*jax.device_get(hashes).values()], np.uint32)
    names = np.array([zlib.crc32(name.encode()) for name in hashes], np.uint32)
    return f"{_mixed(found ^ names).sum(dtype=np.uint32):08x}"


@jax.jit
def _hash(leaf: Array) -> Array:
    words = leaf if leaf.dtype == bool else leaf.view(_WORDS[leaf.dtype.itemsize])
    place, stride = jnp.zeros(leaf.shape, jnp.uint32), 1
    for axis in reversed(range(leaf.ndim)):
        ahead = jax.lax.broadcasted_iota(jnp.uint32, leaf.shape, axis)
        place += ahead * np.uint32(stride % 2**32)
        stride *= leaf.shape[axis]
    return jnp.sum(_mixed(words.astype(jnp.uint32) ^ place * _GOLDEN), dtype=jnp.uint32)


def _mixed(words: Any) -> Any:
    """fmix32 of the words of an array, on the host or a device."""
    words = (words ^ words >> 16) * np.uint32(0x85EBCA6B)
    words = (words ^ words >> 13) * np.uint32(0xC2B2AE35)
    return words ^ words >> 16
