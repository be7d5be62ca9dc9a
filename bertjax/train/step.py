"""One training step, jitted over the mesh: corrupt, micro-batches, update, guard."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.sharding import Mesh

from bertjax import model, sharding
from bertjax.config import PretrainConfig
from bertjax.model import networks
from bertjax.objectives.losses import Mean
from bertjax.objectives.objective import Batch, Objective, loss
from bertjax.optim.average import moving_average
from bertjax.optim.guard import guarded_update
from bertjax.optim.optimizers import optimizer
from bertjax.optim.schedules import learning_rate
from bertjax.train.compute import compute_of
from bertjax.train.state import TrainState, state_shardings

# With the products left to cuBLASLt, biases, residuals and the tanh GELU are added where a product
# ends, and not in passes of their own; XLA's own kernels for products would take precedence.
_COMPILER_OPTIONS = {"gpu": {"xla_gpu_enable_triton_gemm": False}}
_DROPOUT = 2**32 - 1  # set apart from the epochs that `masking.row_key` folds into the same seed


Metrics = dict[str, Array]  # scalars by name
TrainStep = Callable[[TrainState, Batch, Any, Any], tuple[TrainState, Metrics]]


def make_train_step(cfg: PretrainConfig, objective: Objective, mesh: Mesh) -> TrainStep:
    """Compile-once step: (state, batch, seed, position) -> (state, metrics); the state is donated.

    Runs that differ in nothing that is computed (`PretrainConfig.computed`) share it, and `seed` is
    that of the run.
    `position` is the step's place in the schedule of `train.steps`; None takes the number of
    updates so far, and for what `objective` hides the number of steps.

    Metrics are scalars: those of `objective`, `learning_rate`, `gradient_norm` (before clipping),
    `predicted` and `tokens` (real ones, without padding), `bad_steps`, `skipped`.

    A step whose loss or gradient is not finite leaves parameters, their average and the optimizer
    as they were.
    """
    return _train_step(cfg.computed, objective, mesh)


@lru_cache(maxsize=8)
def _train_step(cfg: PretrainConfig, objective: Objective, mesh: Mesh) -> TrainStep:
    places = state_shardings(cfg, mesh)
    compute, everywhere = compute_of(cfg, mesh), sharding.replicated(mesh)
    rate = learning_rate(cfg.optim, cfg.train.steps)
    update_rule = optimizer(cfg.optim, cfg.train.steps, networks.describe(cfg))

    def step(
        state: TrainState, batch: Batch, seed: Array | int, position: Array | float | None
    ) -> tuple[TrainState, Metrics]:
        tokens = jnp.sum(batch["segments"] != 0)
        corrupted = objective.corrupt(batch, seed, state.step if position is None else position)
        grads, sums = gradients(cfg, objective, compute, places.params, state, corrupted, seed)
        total = jnp.asarray(sum(sums[name].total for name in objective.weights))
        updated = guarded_update(
            update_rule, grads, total, state.params, state.optimizer, position=position
        )
        bad = jnp.where(updated.finite, 0, state.bad_steps + 1)
        skipped = state.skipped + jnp.where(updated.finite, 0, 1)
        metrics = {name: mean.value() for name, mean in sums.items()} | {
            # The schedule stands still in skipped steps, as all of the optimizer does.
            "learning_rate": rate(state.step - state.skipped if position is None else position),
            "gradient_norm": updated.norm,
            "predicted": sums[objective.selects].weight,
            "tokens": tokens,
            "bad_steps": bad,
            "skipped": skipped,
        }
        average = state.average
        if average is not None:
            taken = state.step + 1 - skipped
            average = moving_average(
                cfg.optim.average, average, updated.params, taken, updated.finite
            )
        state = TrainState(state.step + 1, updated.params, average, updated.optimizer, bad, skipped)
        return state, metrics

    return jax.jit(
        step,
        in_shardings=(places, sharding.batch_sharding(mesh), everywhere, everywhere),
        out_shardings=(places, everywhere),
        donate_argnums=0,
        compiler_options=_COMPILER_OPTIONS.get(compute.platform),
    )


def gradients(
    cfg: PretrainConfig,
    objective: Objective,
    compute: model.Compute,
    places: Any,
    state: TrainState,
    batch: Batch,
    seed: Array | int,
) -> tuple[model.Params, dict[str, Mean]]:
    """Gradients, lying at `places`, and metrics of a corrupted batch, in its micro-batches."""
    counts = objective.counts(batch)
    run_key = jax.random.key(seed)
    step_key = jax.random.fold_in(jax.random.fold_in(run_key, _DROPOUT), state.step)
    drops = cfg.model.hidden_dropout > 0 or cfg.model.attention_dropout > 0

    def one(micro: Batch, index: Array | int) -> tuple[model.Params, dict[str, Mean]]:
        key = jax.random.fold_in(step_key, index) if drops else None

        def share(params):
            params = jax.lax.with_sharding_constraint(params, sharding.gather_fsdp(places))
            return loss(objective, params, micro, counts, compute, key)

        (_, sums), grads = jax.value_and_grad(share, has_aux=True)(state.params)
        return jax.lax.with_sharding_constraint(grads, places), sums

    n = cfg.train.accumulate
    if n == 1:
        return one(batch, 0)
    # Row i goes to micro-batch i mod n: each device's rows stay on it.
    micro = jax.tree.map(lambda x: x.reshape(-1, n, *x.shape[1:]).swapaxes(0, 1), batch)

    def body(total, xs):
        return jax.tree.map(jnp.add, total, one(*xs)), None

    shapes = jax.eval_shape(lambda: one(jax.tree.map(lambda x: x[0], micro), 0))
    zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
    return jax.lax.scan(body, zeros, (micro, jnp.arange(n)))[0]
