"""What one budget is to each arm: steps by the shape of its rows and its model, or minutes."""

from __future__ import annotations

from dataclasses import replace

from bertjax.config import BudgetConfig, PretrainConfig
from bertjax.errors import UserError
from bertjax.train.scale import flops_a_step, tokens_a_step


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
