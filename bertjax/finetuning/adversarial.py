"""Training against the worst small step of the word embeddings (FGM, Miyato et al. 2017).

As programs for BERT do it: the step is of the table of pieces, in the direction of its gradient
over the whole batch, and the gradients of both losses are added up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from bertjax import model
from bertjax.finetuning.words import TABLE
from bertjax.tree import flatten, unflatten


def table(params: model.Params) -> Array:
    """The word embeddings, float32 [V, E]."""
    return flatten(params)[TABLE]


def shifted(params: model.Params, step: Array) -> model.Params:
    """Parameters whose word embeddings are `step` further on."""
    leaves = flatten(params)
    return unflatten(leaves | {TABLE: leaves[TABLE] + step})


def value_and_grad(
    loss: Callable[[Any, Array, Array], Array],
    params: Any,
    table: Array,
    epsilon: float,
    key: Array,
) -> tuple[Array, Any]:
    """The loss, and the gradient of its sum with the loss one step of length `epsilon` away.

    Args:
        loss: of trained parameters, a step of the table and a key of dropout, which is drawn anew
            for the second loss.
        params: the trained parameters.
        table: the word embeddings, trained or not.
        epsilon: length of the step; its direction is the gradient over the table.
        key: of dropout.
    """
    here = jnp.zeros_like(table)
    value, (grads, uphill) = jax.value_and_grad(loss, argnums=(0, 1))(params, here, key)
    norm = jnp.sqrt(jnp.sum(jnp.square(uphill)))
    step = epsilon * uphill / jnp.where(norm > 0, norm, 1.0)
    there = jax.grad(loss)(params, step, jax.random.fold_in(key, 1))
    return value, jax.tree.map(jnp.add, grads, there)
