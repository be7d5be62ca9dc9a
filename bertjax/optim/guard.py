"""The one place where gradients become an update, and where an update is refused."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array


class Updated(NamedTuple):
    """What a step made of its gradients."""

    params: Any
    optimizer: Any  # optax state
    norm: Array  # of the gradients, before clipping
    finite: Array  # bool scalar; where False, parameters and optimizer are as they were


def guarded_update(
    rule: optax.GradientTransformationExtraArgs,
    grads: Any,
    loss: Array,
    params: Any,
    optimizer: Any,
    **extra: Any,
) -> Updated:
    """Apply `rule` of `optimizers.optimizer` unless the loss or a gradient is not finite.

    `extra` goes to the rule, such as `position`.
    """
    norm = optax.tree.norm(grads)
    finite = jnp.isfinite(norm) & jnp.isfinite(loss)
    updates, moments = rule.update(grads, optimizer, params, finite=finite, **extra)
    new = optax.apply_updates(params, updates)
    kept = jax.tree.map(lambda new, old: jnp.where(finite, new, old), new, params)
    return Updated(kept, moments, norm, finite)
