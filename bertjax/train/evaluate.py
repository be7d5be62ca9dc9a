"""Held-out evaluation: the same rows, the same masks and no dropout, whenever it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import jax
import numpy as np
from jax import Array
from jax.sharding import Mesh

from bertjax import model, sharding
from bertjax.config import PretrainConfig
from bertjax.data.batches import BatchSource, evaluation_batches
from bertjax.objectives.losses import Mean
from bertjax.objectives.objective import EVALUATION_SEED, Objective
from bertjax.train.compute import compute_of
from bertjax.train.state import state_shardings

EvaluationStep = Callable[[model.Params, dict[str, Array]], dict[str, Mean]]


def make_evaluation_step(cfg: PretrainConfig, objective: Objective, mesh: Mesh) -> EvaluationStep:
    """Jitted (params, batch) -> metrics of the batch, at the objective's fixed setting."""
    return _evaluation_step(cfg.computed, objective.evaluation(), mesh)


@lru_cache(maxsize=8)
def _evaluation_step(cfg: PretrainConfig, fixed: Objective, mesh: Mesh) -> EvaluationStep:
    places = state_shardings(cfg, mesh).params
    compute = compute_of(cfg, mesh)

    def step(params: model.Params, batch: dict[str, Array]) -> dict[str, Mean]:
        params = jax.lax.with_sharding_constraint(params, sharding.gather_fsdp(places))
        return fixed.sums(params, fixed.corrupt(batch, EVALUATION_SEED), compute, None)

    return jax.jit(
        step,
        in_shardings=(places, sharding.batch_sharding(mesh)),
        out_shardings=sharding.replicated(mesh),
    )


def rows_at_once(cfg: PretrainConfig, mesh: Mesh, batch_size: int) -> int:
    """Rows of one evaluation batch: a micro-batch of training, or fewer if fewer are asked for.

    So evaluation needs no more memory than a micro-batch does, and computes no row that is not
    asked for but those that fill up the last devices.
    """
    ways = sharding.batch_ways(mesh)
    return min(batch_size // cfg.train.accumulate, -(-cfg.train.eval_rows // ways) * ways)


def evaluate(
    step: EvaluationStep,
    params: model.Params,
    source: BatchSource,
    mesh: Mesh,
    rows: int,
    at_once: int,
) -> dict[str, float]:
    """The metrics of the first `rows` rows of the held-out split, by name.

    Rows are taken in plan order, `at_once` of them in a batch; means are over all predictions.
    """
    share = sharding.process_rows(mesh, at_once)
    totals: dict[str, np.ndarray] = {}
    for batch in evaluation_batches(source, rows, at_once, share):
        sums = step(params, sharding.to_devices(mesh, batch, at_once))
        for name, mean in jax.device_get(sums).items():
            totals[name] = totals.get(name, 0.0) + np.asarray(mean, np.float64)
    return {name: float(total / max(weight, 1.0)) for name, (total, weight) in totals.items()}


def together(results: Mapping[str, dict[str, float]], shares: Sequence[int]) -> dict[str, float]:
    """The metrics of one corpus; of several, by name, their means by `shares`, and each one's too.

    A corpus without a share is reported and counts for nothing in the means. What is not known of
    all, such as bits a byte, has no mean.
    """
    if len(results) == 1:
        return next(iter(results.values()))
    weights = np.asarray(shares) / sum(shares)
    first, *others = results.values()
    names = [name for name in first if all(name in one for one in others)]
    means = {
        name: float(sum(w * one[name] for w, one in zip(weights, results.values(), strict=True)))
        for name in names
    }
    return means | {f"{of}/{name}": one[name] for of, one in results.items() for name in one}
