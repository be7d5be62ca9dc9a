"""Timing of compiled programs, and the device's own speed to compare with."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def seconds(run: Callable[[], Any], repeats: int) -> list[float]:
    """Wall time of each of `repeats` calls, waited for; one call before them is not counted."""
    jax.block_until_ready(run())
    found = []
    for _ in range(repeats):
        began = time.perf_counter()
        jax.block_until_ready(run())
        found.append(time.perf_counter() - began)
    return found


def matmul_rate(device: jax.Device, dtype: str) -> float:
    """FLOP/s of square matrix products of random numbers: what this device really reaches.

    Random, because a product of zeros needs less power and ran 13 % faster on an H200; one after
    another in one program, because a step's products do not wait for the host either.
    """
    size, count = (8192, 20) if device.platform in ("gpu", "cuda", "tpu") else (2048, 3)
    # A mesh of its own: the caller's may hold other devices as well.
    with jax.set_mesh(jax.make_mesh((1,), ("one",), devices=[device])):
        keys = jax.random.split(jax.random.key(0))
        a, b = (jax.random.normal(key, (size, size), jnp.dtype(dtype)) for key in keys)
        a = a * size**-0.5  # so that products stay as large as what they are made of
        chain = jax.jit(lambda a, b: jax.lax.fori_loop(0, count, lambda _, x: a @ x, b))
        return count * 2 * size**3 / statistics.median(seconds(lambda: chain(a, b), 5))


def peak_memory(device: jax.Device) -> int | None:
    """Most bytes in use on the device since the program began; None where it does not say."""
    return (device.memory_stats() or {}).get("peak_bytes_in_use")
