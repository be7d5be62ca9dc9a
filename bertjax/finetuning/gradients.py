"""The loss of a step and its gradients, with what a run trains against beside the labels."""

from __future__ import annotations

from functools import partial
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
from bertjax.objectives import domains, task_losses
from bertjax.objectives.consistency import divergence

Batch = dict[str, Any]  # arrays by name; `unlabelled` is another batch
_BESIDE = 2  # keeps dropout of the unlabelled rows apart from the two draws of `tune.rdrop`


def value_and_grad(
    cfg: FinetuneConfig,
    shape: TaskShape,
    compute: Compute,
    params: Any,
    kept: Any,
    batch: Batch,
    key: Array,
    progress: Array,
) -> tuple[Array, Any]:
    """The mean loss of a batch, and the gradients of the trained `params`.

    `kept` are the parameters that stay, `key` is dropout's, `progress` the share of the run that is
    over. With `tune.fgm` the gradients are those of two losses (`adversarial`), and the value is
    the first one's.
    """
    if shape.discriminator:  # its gradient is whole, what is taken off the features rises
        batch = batch | {"reversal": cfg.transfer.weight * domains.reversal(progress)}

    def loss(params: Any, step: Array | None, key: Array) -> Array:
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

    def outputs(key: Array, batch: Batch = batch) -> dict[str, Any]:
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

    def apart(ours: dict[str, Any]) -> Array:
        """What keeps the states of labelled and unlabelled rows together."""
        beside = batch["unlabelled"]
        theirs = outputs(jax.random.fold_in(key, _BESIDE), batch | beside)
        real = batch["example_weights"], beside["example_weights"]
        if shape.discriminator:
            return domains.told_apart(ours["domain"], theirs["domain"], *real)
        distance = domains.squared_mmd(ours["features"], theirs["features"], *real)
        return cfg.transfer.weight * distance

    nll = partial(weighted_mean, shape, batch=batch)

    if not cfg.tune.rdrop:
        one = outputs(key)
        value = nll(one)
    else:
        one, other = map(outputs, jax.random.split(key))
        value = (nll(one) + nll(other)) / 2 + cfg.tune.rdrop * divergence(shape, one, other, batch)
    return value if shape.features is None else value + apart(one)


def weighted_mean(shape: TaskShape, outputs: dict[str, Any], batch: Batch) -> Array:
    """The task's mean loss of a batch, in which a row counts as `loss_weights` say, if there are.

    They are no part of what the sum is divided by: (1/(n+m)) Σ W ℓ.
    """
    total, weight = task_losses.loss(shape, outputs, batch)
    if "loss_weights" in batch:
        scaled = batch["example_weights"] * batch["loss_weights"]
        total, _ = task_losses.loss(shape, outputs, batch | {"example_weights": scaled})
    return total / jnp.maximum(weight, 1e-6)
