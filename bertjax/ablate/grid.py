"""The cells of an ablation, in the order in which they are trained, and the run that each is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from bertjax.ablate.budget import within_budget
from bertjax.config import MOST_SEEDS, AblationConfig, PretrainConfig
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
    "data.corpora": "held-out losses compare on one corpus alone: set data.corpora.0.weight",
}


SEARCH_SEED = MOST_SEEDS  # compared nowhere, however many seeds a grid comes to have


class Cell(NamedTuple):
    """One arm with one seed; or, of an arm's search, one of its settings."""

    arm: str
    seed: int  # counted from 0
    setting: int = -1  # of a search: which of `Arm.search`

    @property
    def name(self) -> str:
        """What it is called beside the others of its arm, as `seed0` or `search0`."""
        return f"seed{self.seed}" if self.setting < 0 else f"search{self.setting}"

    def __str__(self) -> str:
        return f"{self.arm} {self.name}"


def searches(cfg: AblationConfig) -> list[Cell]:
    """The cells that find a setting for each arm that has several, on a seed of their own."""
    return [
        Cell(arm.name, SEARCH_SEED, setting)
        for arm in cfg.arms
        for setting in range(len(arm.search))
    ]


def compared(cfg: AblationConfig) -> list[Cell]:
    """The cells of the comparison; whole seeds come first, so that a part of them has pairs."""
    return [Cell(arm.name, seed) for seed in range(cfg.seeds) for arm in cfg.arms]


def cells(cfg: AblationConfig) -> list[Cell]:
    """All cells in the order in which they are trained."""
    return searches(cfg) + compared(cfg)


def cell_config(
    cfg: AblationConfig, cell: Cell, vocab_size: int, settings: Mapping[str, str]
) -> PretrainConfig:
    """The run of a cell on a corpus of so many pieces.

    `settings` are those that were found, by arm; for a cell of a search they need not be known.

    Raises:
        UserError: an override of the arm names no field, has a value that is refused, or is of
            something that all arms must have in common.
    """
    arm = cfg.arm(cell.arm)
    overrides = arm.overrides
    if arm.search:
        found = settings[arm.name] if cell.setting < 0 else arm.search[cell.setting]
        overrides = (*overrides, found)
    own = _arm_config(cfg.base, arm.name, overrides, vocab_size)
    return within_budget(replace(own, seed=cfg.base.seed + cell.seed), cfg.budget)


def _arm_config(
    base: PretrainConfig, arm: str, overrides: tuple[str, ...], vocab_size: int
) -> PretrainConfig:
    """The base with the overrides of an arm, heads and vocabulary settled."""
    for item in overrides:
        name = item.partition("=")[0]
        if name in _SHARED:
            raise UserError(f"arm {arm} sets {name}: {_SHARED[name]}")
    try:
        own = apply_overrides(base, overrides).with_trained_heads()
    except UserError as error:
        raise UserError(f"arm {arm}: {error}") from None
    model = replace(own.model, vocab_size=max(own.model.vocab_size, vocab_size))
    return replace(own, model=model)
