"""Parameters are made from the keys that flax would have given."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx

from bertjax.model.keys import Keys


def test_keys_are_those_of_flax_in_the_same_order():
    def drawn(streams: nnx.Rngs) -> jax.Array:
        return jax.random.key_data(jnp.stack([streams.params() for _ in range(5)]))

    seed = jax.random.key(7)
    ours, theirs = jax.jit(lambda: (drawn(Keys(seed)), drawn(nnx.Rngs(params=seed))))()
    assert ours.tobytes() == theirs.tobytes() and len({row.tobytes() for row in ours}) == 5


def test_layers_of_flax_take_their_kernels_from_them():
    def kernel(streams: nnx.Rngs) -> jax.Array:
        return nnx.Linear(3, 4, rngs=streams).kernel[...]

    seed = jax.random.key(7)
    ours, theirs = jax.jit(lambda: (kernel(Keys(seed)), kernel(nnx.Rngs(params=seed))))()
    assert ours.tobytes() == theirs.tobytes()
