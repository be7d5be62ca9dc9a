"""Gradual unfreezing: the top moves first, and layers below join it epoch by epoch.

Howard & Ruder (2018), section 3.3, a layer an epoch; `tune.unfreeze` layers here, as an encoder has
more layers than a fine-tuning has epochs. In the first epoch only what is above the layers moves.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from bertjax.config import FinetuneConfig
from bertjax.finetuning.settle import method_of
from bertjax.model.task import TaskShape, describe_task
from bertjax.optim.optimizers import Moves


def lowest_depth(cfg: FinetuneConfig, epoch: int) -> int:
    """The depth from which parameters move in an epoch, which count from 0."""
    if not cfg.tune.unfreeze:
        return 0
    return max(0, cfg.model.num_layers + 1 - epoch * cfg.tune.unfreeze)


def moving(cfg: FinetuneConfig, shape: TaskShape, lowest: Array) -> Moves | None:
    """Which parameters move: those of the depth `lowest` and above; None where all always do."""
    if not cfg.tune.unfreeze:
        return None
    facts = describe_task(cfg.model, cfg.head, shape, method_of(cfg))

    def moves(path: str) -> Array:
        depth = facts[path].depth
        return jnp.int32(1) if depth is None else (lowest <= depth).astype(jnp.int32)

    return moves
