"""An exponential moving average of the parameters of a run."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array


def moving_average(decay: float, average: Any, params: Any, updates: Array, finite: Array) -> Any:
    """The average once an update has made `params`, of which there were `updates` with this one.

    That is Σ decay^(t − i) · p_i / Σ decay^(t − i) over the parameters p_i after updates 1 to t, as
    optax.ema has it with `debias` (Kingma & Ba 2015, section 3): the first average is the first
    parameters, and the start of the run, which is random, has no share in any. Where the update was
    not `finite`, the average comes back as it was.

    timm's ModelEmaV3 and TensorFlow's `num_updates` raise the decay from 0 instead, along curves
    with two more numbers, and keep a share of the start.
    """
    count = jnp.maximum(updates, 1)
    rate = (1 - decay) / -jnp.expm1(count * math.log(decay))
    return jax.tree.map(lambda a, p: jnp.where(finite, a + rate * (p - a), a), average, params)
