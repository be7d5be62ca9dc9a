"""One fine-tuning step, and prediction, jitted over the devices: each takes a share of the rows."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.sharding import Mesh

from bertjax import sharding
from bertjax.config import FinetuneConfig
from bertjax.finetuning import unfreezing
from bertjax.finetuning.gradients import value_and_grad
from bertjax.finetuning.parameters import rates
from bertjax.finetuning.settle import method_of
from bertjax.model import Compute
from bertjax.model.task import TaskShape, apply_task, describe_task
from bertjax.objectives import task_losses
from bertjax.optim.guard import guarded_update
from bertjax.optim.optimizers import optimizer_by_rates
from bertjax.optim.schedules import Turns
from bertjax.tree import path_name

Batch = dict[str, Any]  # arrays by name; `unlabelled` is another batch


class TuneState(NamedTuple):
    """All that a step changes."""

    step: Any  # int32: steps taken
    params: Any  # float32, the trained ones
    optimizer: Any  # optax state
    bad_steps: Any  # int32: non-finite steps in a row


class Pace(NamedTuple):
    """Where in its run a step is: data, so that one program does for all of them."""

    turns: Turns  # of the learning rate
    lowest: Any = 0  # int32: the depth from which parameters move (`unfreezing.lowest_depth`)


class Steps(NamedTuple):
    """The jitted functions that train."""

    init: Callable[[Any], TuneState]  # trained parameters -> state
    train: Callable[[TuneState, Any, Array, Batch, Pace], tuple[TuneState, dict[str, Array]]]


# All parameters, batch -> outputs of rows; and (sum, weight) of the loss, where there are targets.
Predict = Callable[[Any, Batch], tuple[dict[str, Array], tuple[Array, Array] | None]]
_TARGETS = {"label", "tags", "span"}


def compute_of(cfg: FinetuneConfig, mesh: Mesh) -> Compute:
    """How the model of a run is computed on the devices of `mesh`."""
    platform = mesh.devices.flat[0].platform
    return Compute(cfg.tune.compute_dtype, platform, attention="auto", rows="packed")


def make_steps(cfg: FinetuneConfig, shape: TaskShape, mesh: Mesh) -> Steps:
    """Compile-once functions, whatever the number of epochs.

    Every model of a run shares them, and so do runs that differ in nothing that is computed
    (`FinetuneConfig.computed`).

    `train(state, kept, key, batch, pace)` donates the state; its metrics are the scalars `loss`
    (the task's own mean, with what `tune.rdrop` and `transfer.method` add), `gradient_norm` and
    `bad_steps`. A step that is not finite changes nothing. With a method that is aligned the batch
    holds another one, `unlabelled`.
    """
    return _steps(cfg.computed, shape, mesh)


@lru_cache(maxsize=8)
def _steps(cfg: FinetuneConfig, shape: TaskShape, mesh: Mesh) -> Steps:
    everywhere, rows = sharding.replicated(mesh), sharding.batch_sharding(mesh)
    compute, method = compute_of(cfg, mesh), method_of(cfg)
    facts = describe_task(cfg.model, cfg.head, shape, method)

    def moving(tree: Any, pace: Pace) -> Any:
        """What is of each parameter, times 0 for those that do not move yet."""
        moves = unfreezing.moving(cfg, shape, pace.lowest)
        if moves is None:
            return tree
        return jax.tree_util.tree_map_with_path(lambda path, x: x * moves(path_name(path)), tree)

    def rule(params: Any, pace: Pace) -> Any:
        by_path = moving(rates(cfg, shape, params), pace)
        moves = unfreezing.moving(cfg, shape, pace.lowest)
        return optimizer_by_rates(cfg.optim, pace.turns, facts, by_path, moves)

    def init(params: Any) -> TuneState:
        zero = jnp.zeros((), jnp.int32)
        moments = rule(params, Pace(Turns(0, 0, 1), zero)).init(params)
        return TuneState(zero, params, moments, zero)

    def train(
        state: TuneState, kept: Any, key: Array, batch: Batch, pace: Pace
    ) -> tuple[TuneState, dict[str, Array]]:
        step_key = jax.random.fold_in(key, state.step)
        progress = state.step / pace.turns.last
        value, grads = value_and_grad(
            cfg, shape, compute, state.params, kept, batch, step_key, progress
        )
        update = rule(state.params, pace)
        grads = moving(grads, pace)  # so that neither the norm nor the moments know of the others
        updated = guarded_update(update, grads, value, state.params, state.optimizer)
        bad = jnp.where(updated.finite, 0, state.bad_steps + 1)
        metrics = {"loss": value, "gradient_norm": updated.norm, "bad_steps": bad}
        return TuneState(state.step + 1, updated.params, updated.optimizer, bad), metrics

    return Steps(
        jax.jit(init, out_shardings=everywhere),
        jax.jit(
            train,
            in_shardings=(everywhere, everywhere, everywhere, rows, everywhere),
            out_shardings=everywhere,
            donate_argnums=0,
        ),
    )


def make_predict(cfg: FinetuneConfig, shape: TaskShape, mesh: Mesh) -> Predict:
    """The compile-once function from parameters and a batch to what the task makes of it.

    Models share it as they do `make_steps`.
    """
    return _predict(cfg.computed, shape, mesh)


@lru_cache(maxsize=8)
def _predict(cfg: FinetuneConfig, shape: TaskShape, mesh: Mesh) -> Predict:
    def predict(params: Any, batch: Batch) -> tuple[dict[str, Array], tuple[Array, Array] | None]:
        compute, method = compute_of(cfg, mesh), method_of(cfg)
        outputs = apply_task(
            cfg.model, cfg.head, shape, params, batch, compute=compute, method=method
        )
        loss = task_losses.loss(shape, outputs, batch) if _TARGETS & batch.keys() else None
        return task_losses.probabilities(shape, outputs, batch), loss

    everywhere = sharding.replicated(mesh)
    places = (everywhere, sharding.batch_sharding(mesh))
    return jax.jit(predict, in_shardings=places, out_shardings=everywhere)
