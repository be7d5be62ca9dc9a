"""The loss of a step and its gradients, with what a run trains against beside the labels."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from bertjax.config import FinetuneConfig
from bertjax.finetuning import adversarial
from bertjax.finetuning.parameters import join
from bertjax.finetuning.settle import method_of
from bertjax.model import Compute
from bertjax.model.task import TaskShape, apply_task
from bertjax.objectives import task_losses
from bertjax.objectives.consistency import divergence

Batch = dict[str, Array]


def value_and_grad(
    cfg: FinetuneConfig,
    shape: TaskShape,
    compute: Compute,
    params: Any,
    kept: Any,
    batch: Batch,
    key: Array,
) -> tuple[Array, Any]:
    """The mean loss of a batch, and the gradients of the trained `params`.

    `kept` are the parameters that stay, `key` is dropout's. With `tune.fgm` the gradients are those
    of two losses (`adversarial`), and the value is the first one's.
    """

    def loss(params, step: Array | None, key: Array) -> Array:
        joined = join(params, kept)
        moved = joined if step is None else adversarial.shifted(joined, step)
        return _loss(cfg, shape, compute, moved, batch, key)

    if not cfg.tune.fgm:
        return jax.value_and_grad(loss)(params, None, key)
    table = adversarial.table(join(params, kept))
    return adversarial.value_and_grad(loss, params, table, cfg.tune.fgm, key)


def _loss(
    cfg: FinetuneConfig, shape: TaskShape, compute: Compute, params: Any, batch: Batch, key: Array
) -> Array:
    """The task's mean loss; with `tune.rdrop` of two draws of dropout, and how unlike they are.

    Liang et al. (2021), equation 4, with the mean of both losses in place of their sum, as
    dropreg/R-Drop's README has it: so the weight is relative to one loss. Their divergence is a sum
    over the batch there, and a mean here, as the loss is.
    """

    def outputs(key: Array) -> dict[str, Any]:
        return apply_task(
            cfg.model,
            cfg.head,
            shape,
            params,
            batch,
            compute=compute,
            key=key,
            method=method_of(cfg),
        )

    def nll(outputs: dict[str, Any]) -> Array:
        total, weight = task_losses.loss(shape, outputs, batch)
        return total / jnp.maximum(weight, 1e-6)

    if not cfg.tune.rdrop:
        return nll(outputs(key))
    one, other = map(outputs, jax.random.split(key))
    return (nll(one) + nll(other)) / 2 + cfg.tune.rdrop * divergence(shape, one, other, batch)
