"""The random keys that a module's parameters are made from."""

from __future__ import annotations

import jax
from flax import nnx
from jax import Array


class Keys(nnx.Rngs):
    """What `nnx.Rngs(params=key)` is, counted in Python: the same keys in the same order.

    flax counts with an array. Under `jit` and `eval_shape`, where all modules are made, each count
    then asks JAX for a sharding that no tracer has, and JAX answers with an error that prints the
    operations so far: four fifths of the time that building a model took.
    """

    def __init__(self, key: Array):
        self.key = key
        self.count = 0

    def params(self) -> Array:
        """The next key."""
        self.count += 1
        return jax.random.fold_in(self.key, self.count - 1)
