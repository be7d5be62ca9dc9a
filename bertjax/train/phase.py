"""What a phase of a run is made of: its batches, its step, and how its parameters are measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from jax import Array
from jax.sharding import Mesh

from bertjax import model, sharding
from bertjax.config import PretrainConfig
from bertjax.data.assemble import Batch
from bertjax.data.batches import Batches
from bertjax.data.loader import BatchStream, load_batches
from bertjax.objectives.choice import objective_of
from bertjax.objectives.objective import Objective
from bertjax.train.data import Data, bits_per_byte, unigram_entropy
from bertjax.train.evaluate import evaluate, make_evaluation_step, rows_at_once, together
from bertjax.train.state import TrainState
from bertjax.train.step import Metrics, make_train_step


@dataclass(frozen=True)
class PhaseWork:
    """One phase, ready to begin."""

    objective: Objective
    batches: Batches
    load: Callable[[int, int], BatchStream]  # (first, stop) -> this process's rows of batches
    # (state, batch of this process, place in the schedule) -> (state, metrics)
    step: Callable[[TrainState, Batch, float | None], tuple[TrainState, dict[str, Array]]]
    evaluate: Callable[[model.Params], dict[str, float]]  # of held-out text


def make_phases(cfg: PretrainConfig, data: Data, mesh: Mesh) -> Callable[[int], PhaseWork]:
    """Phase -> what it does, made once."""

    @cache
    def phase_work(phase: int) -> PhaseWork:
        size, seed = cfg.data.phases[phase].batch_size, np.uint32(cfg.seed)
        objective = objective_of(cfg, data.first.special, data.first.vocab_size, phase)
        batches, held_out = data.training(cfg, phase), data.evaluation(cfg, phase)
        share = sharding.process_rows(mesh, size, cfg.train.accumulate)
        train = make_train_step(cfg, objective, mesh)
        step = make_evaluation_step(cfg, objective, mesh)
        rows, at_once = cfg.train.eval_rows, rows_at_once(cfg, mesh, size)
        baselines = {
            name: unigram_entropy(source, rows, objective.never_predicted)
            for name, source in held_out.items()
        }

        def measure(params: model.Params) -> dict[str, float]:
            results = {}
            for name, source in held_out.items():
                found = evaluate(step, params, source, mesh, rows, at_once)
                found |= {"unigram_entropy": baselines[name]}
                results[name] = found | bits_per_byte(data.held_out[name], objective, found)
            return together(results, cfg.data.shares(phase))

        def load(first: int, stop: int) -> BatchStream:
            return load_batches(batches, first, stop, cfg.data.workers, cfg.data.prefetch, share)

        def take(
            state: TrainState, batch: Batch, position: float | None
        ) -> tuple[TrainState, Metrics]:
            return train(state, sharding.to_devices(mesh, batch, size), seed, position)

        return PhaseWork(objective, batches, load, take, measure)

    return phase_work
