"""The cells of an ablation, in the order in which they are trained, and the run that each is."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from bertjax.ablate.budget import within_budget
from bertjax.config import AblationConfig, Arm, PretrainConfig
from bertjax.errors import UserError
from bertjax.overrides import apply_overrides

# What all arms have in common, whatever else they differ in.
_SHARED = {
    "train.steps": "the budget says how long cells are: use budget.tokens, flops or minutes",
    "train.minutes": "the budget says how long cells are: use budget.minutes",
    "train.pace": "the budget says how long cells are: use budget.tokens, flops or minutes",
    "train.init": "cells begin with random weights, the same for all arms of a seed",
    "seed": "seeds are paired: arms of one seed have the same; use seeds and base.seed",
    "data.corpus": "held-out losses compare on one corpus alone: set it for all arms",
}


class Cell(NamedTuple):
    """One arm with one seed."""

    arm: str
    seed: int  # counted from 0

    def __str__(self) -> str:
        return f"{self.arm} seed {self.seed}"


def cells(cfg: AblationConfig) -> list[Cell]:
    """All cells; whole seeds come first, so that a grid that is cut short has pairs to compare."""
    return [Cell(arm.name, seed) for seed in range(cfg.seeds) for arm in cfg.arms]


def cell_config(cfg: AblationConfig, cell: Cell, vocab_size: int) -> PretrainConfig:
    """The run of a cell on a corpus of so many pieces.

    Raises:
        UserError: an override of the arm names no field, has a value that is refused, or is of
            something that all arms must have in common.
    """
    arm = cfg.arm(cell.arm)
    own = arm_config(cfg.base, arm, arm.overrides, vocab_size)
    return within_budget(replace(own, seed=cfg.base.seed + cell.seed), cfg.budget)


def arm_config(
    base: PretrainConfig, arm: Arm, overrides: tuple[str, ...], vocab_size: int
) -> PretrainConfig:
    """The base with the overrides of an arm, heads and vocabulary settled."""
    for item in overrides:
        name = item.partition("=")[0]
        if name in _SHARED:
            raise UserError(f"arm {arm.name} sets {name}: {_SHARED[name]}")
    try:
        own = apply_overrides(base, overrides).with_trained_heads()
    except UserError as error:
        raise UserError(f"arm {arm.name}: {error}") from None
    model = replace(own.model, vocab_size=max(own.model.vocab_size, vocab_size))
    return replace(own, model=model)
