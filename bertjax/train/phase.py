"""What a phase of a run is made of: its batches, its step, and how its parameters are measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from jax.sharding import Mesh

from bertjax import model, sharding
from bertjax.config import PretrainConfig
from bertjax.data.batches import BatchSource
from bertjax.objectives.choice import objective_of
from bertjax.objectives.objective import Objective
from bertjax.train.data import Data, unigram_entropy
from bertjax.train.evaluate import evaluate, make_evaluation_step, rows_at_once
from bertjax.train.step import TrainStep, make_train_step


@dataclass(frozen=True)
class PhaseWork:
    """One phase, ready to begin."""

    objective: Objective
    batches: BatchSource
    rows: slice  # of each batch, those of this process
    step: TrainStep
    evaluate: Callable[[model.Params], dict[str, float]]  # `unigram_entropy` among the metrics


def make_phases(cfg: PretrainConfig, data: Data, mesh: Mesh) -> Callable[[int], PhaseWork]:
    """Phase -> what it does. Phases that learn the same share the programs that are compiled."""
    train_step = cache(lambda objective: make_train_step(cfg, objective, mesh))
    evaluation_step = cache(lambda objective: make_evaluation_step(cfg, objective, mesh))

    def phase_work(phase: int) -> PhaseWork:
        size = cfg.data.phases[phase].batch_size
        objective = objective_of(cfg, data.train.special, data.train.vocab_size, phase)
        step = evaluation_step(objective.evaluation())
        held_out, rows = data.evaluation(cfg, phase), cfg.train.eval_rows
        at_once = rows_at_once(cfg, mesh, size)
        baseline = unigram_entropy(held_out, rows, objective.never_predicted)

        def measure(params: model.Params) -> dict[str, float]:
            results = evaluate(step, params, held_out, mesh, rows, at_once)
            return results | {"unigram_entropy": baseline}

        return PhaseWork(
            objective,
            data.training(cfg, phase),
            sharding.process_rows(mesh, size, cfg.train.accumulate),
            train_step(objective),
            measure,
        )

    return phase_work
