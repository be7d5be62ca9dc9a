"""What a phase of a run is made of: its batches, its step, and how its parameters are measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jax.sharding import Mesh

from bertjax import model, sharding
from bertjax.config import PretrainConfig
from bertjax.data.batches import Batches
from bertjax.objectives.choice import objective_of
from bertjax.objectives.objective import Objective
from bertjax.train.data import Data, bits_per_byte, unigram_entropy
from bertjax.train.evaluate import evaluate, make_evaluation_step, rows_at_once, together
from bertjax.train.step import TrainStep, make_train_step


@dataclass(frozen=True)
class PhaseWork:
    """One phase, ready to begin."""

    objective: Objective
    batches: Batches
    rows: slice  # of each batch, those of this process
    step: TrainStep
    evaluate: Callable[[model.Params], dict[str, float]]  # of held-out text


def make_phases(cfg: PretrainConfig, data: Data, mesh: Mesh) -> Callable[[int], PhaseWork]:
    """Phase -> what it does."""

    def phase_work(phase: int) -> PhaseWork:
        size = cfg.data.phases[phase].batch_size
        objective = objective_of(cfg, data.first.special, data.first.vocab_size, phase)
        step = make_evaluation_step(cfg, objective, mesh)
        held_out, rows = data.evaluation(cfg, phase), cfg.train.eval_rows
        at_once = rows_at_once(cfg, mesh, size)
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

        return PhaseWork(
            objective,
            data.training(cfg, phase),
            sharding.process_rows(mesh, size, cfg.train.accumulate),
            make_train_step(cfg, objective, mesh),
            measure,
        )

    return phase_work
