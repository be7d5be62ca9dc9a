"""How far two predictions of one batch are apart: what R-Drop keeps small (Liang et al. 2021)."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from bertjax.model.task import TaskShape


def divergence(
    shape: TaskShape, one: dict[str, Any], other: dict[str, Any], batch: dict[str, Array]
) -> Array:
    """The mean over a batch of (KL(p || q) + KL(q || p)) / 2, a float32 scalar.

    p and q are the distributions over classes of two outputs of `apply_task` for the same `batch`.
    The mean is over rows; over tagged words; over groups of a choice; of several labels over rows
    and labels, each of which is there or not. Class weights play no part in it.
    """
    p, q = one["logits"], other["logits"]
    weights = batch["example_weights"]
    if shape.family == "multi_label":
        p, q = (jnp.stack([x, jnp.zeros_like(x)], axis=-1) for x in (p, q))
        weights = weights[:, None] / shape.classes
    elif shape.family == "multiple_choice":
        p, q = (x.reshape(-1, shape.classes) for x in (p, q))
        weights = weights[:: shape.classes]
    elif shape.family == "tagging":
        weights = weights[:, None] * (batch["tags"] >= 0)
    log_p, log_q = jax.nn.log_softmax(p), jax.nn.log_softmax(q)
    apart = jnp.sum((jnp.exp(log_p) - jnp.exp(log_q)) * (log_p - log_q), axis=-1) / 2
    weights = jnp.broadcast_to(weights, apart.shape)
    return jnp.sum(apart * weights) / jnp.maximum(jnp.sum(weights), 1e-6)
