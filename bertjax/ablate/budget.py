"""What one budget is to each arm: steps by the shape of its rows and its model, or minutes."""

from __future__ import annotations

from dataclasses import replace

from bertjax.config import BudgetConfig, PretrainConfig
from bertjax.errors import UserError
from bertjax.flops import training_flops
from bertjax.objectives.choice import objective_of
from bertjax.text.special import SpecialIds

_ANY = SpecialIds(pad=0, unk=1, cls=2, sep=3, mask=4)  # which ids they are costs nothing


def within_budget(cfg: PretrainConfig, budget: BudgetConfig) -> PretrainConfig:
    """The run of an arm, as long as the budget allows.

    `cfg.model.vocab_size` must be settled for a budget of FLOPs.

    Raises:
        UserError: the budget is less than one step.
    """
    if budget.minutes:
        return replace(cfg, train=replace(cfg.train, minutes=budget.minutes))
    name, amount, per_step = (
        ("tokens", budget.tokens, tokens_a_step(cfg))
        if budget.tokens
        else ("flops", budget.flops, flops_a_step(cfg))
    )
    steps = round(amount / per_step)
    if steps < 1:
        raise UserError(
            f"budget.{name}={amount:g} is less than a step, which has {per_step:.3g}: give more, "
            "or make data.phases.0.batch_size smaller"
        )
    return replace(cfg, train=replace(cfg.train, steps=steps, minutes=0.0))


def tokens_a_step(cfg: PretrainConfig) -> float:
    """Places in the rows of a step, padding included; the mean over the phases."""
    return sum(p.fraction * p.batch_size * p.seq_len for p in cfg.data.phases)


def flops_a_step(cfg: PretrainConfig) -> float:
    """FLOPs of the model in a step whose rows are full; the mean over the phases."""
    total = 0.0
    for i, phase in enumerate(cfg.data.phases):
        rows, length = phase.batch_size, phase.seq_len
        predicted = objective_of(cfg, _ANY, phase=i).predictions(length)
        networks = cfg.in_phase(phase).networks
        work = training_flops(networks, rows * length, rows * length**2, rows * predicted)
        total += phase.fraction * work
    return total
