"""A small training state, its shapes, and what it means for two to be the same."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax


def make_state(seed: int) -> dict:
    """A small training state of every kind of array there is, different for each seed."""
    keys = jax.random.split(jax.random.key(seed), 4)
    params = {
        "encoder": {
            "kernel": jax.random.normal(keys[0], (16, 8)),
            "bias": jax.random.normal(keys[1], (8,), jnp.bfloat16),
        },
        "embedding": jax.random.normal(keys[2], (24, 8)),
    }
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(1e-3))
    state = optimizer.init(params)
    _, state = optimizer.update(params, state, params)  # moments other than zero
    counters = {"step": jnp.int32(seed), "bad": jnp.uint32(3), "mask": jnp.arange(5) > 2}
    return {"params": params, "optimizer": state, "counters": counters}


def abstract(items: dict) -> dict:
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), items
    )


def assert_same_bits(actual, expected) -> None:
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    for a, e in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        a, e = np.asarray(a), np.asarray(e)
        assert (a.shape, a.dtype) == (e.shape, e.dtype)
        assert a.tobytes() == e.tobytes()
