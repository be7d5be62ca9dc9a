"""Which parameters a fine-tuning run starts from, which of them it moves, and how fast."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from bertjax import model
from bertjax.config import FinetuneConfig
from bertjax.facts import Facts
from bertjax.model.task import TaskShape, abstract_task_params, describe_task, init_task
from bertjax.tree import flatten, unflatten


def initial_parameters(
    cfg: FinetuneConfig, shape: TaskShape, encoder: model.Params, seed: int
) -> tuple[model.Params, list[str]]:
    """Parameters to start from, and the paths of those that are random.

    The encoder's are taken over by path, the pooler's too where there are any; the head is new,
    and so are the top `tune.reinit_layers` layers with all that is above them, which is pooler and
    final norm (Zhang et al. 2021, "Revisiting few-sample BERT fine-tuning").
    """
    given = flatten(encoder)
    wanted = flatten(abstract_task_params(cfg.model, cfg.head, shape))
    facts = describe_task(cfg.model, cfg.head, shape)
    new = sorted(path for path in wanted if path not in given or _is_reset(cfg, facts[path]))

    def fresh(key: jax.Array) -> dict[str, jax.Array]:  # compiled in no time without the rest
        leaves = flatten(init_task(cfg.model, cfg.head, shape, key))
        return {path: leaves[path] for path in new}

    made = jax.device_get(jax.jit(fresh)(jax.random.key(seed)))
    leaves = {path: made[path] if path in made else np.asarray(given[path]) for path in wanted}
    return unflatten(leaves), new


def _is_reset(cfg: FinetuneConfig, facts: Facts) -> bool:
    at = facts.depth
    lowest = cfg.model.num_layers + 1 - cfg.tune.reinit_layers
    return cfg.tune.reinit_layers > 0 and at is not None and at >= lowest


def is_trained(cfg: FinetuneConfig, facts: Facts) -> bool:
    """Whether a parameter moves: what is above the frozen layers, and the head."""
    at, lowest = facts.depth, cfg.model.num_layers + 1 - cfg.tune.layers
    return cfg.tune.layers == -1 or at is None or at >= lowest


def rates(cfg: FinetuneConfig, shape: TaskShape, params: Any) -> Any:
    """The rate of every parameter relative to the schedule's, as a tree like `params`.

    Those of the head have `tune.head_rate`; everything else `tune.layer_decay` to the power of the
    number of layers above it: 0 for pooler and final norm, 1 for the top layer, L for the lowest,
    L + 1 for the embeddings. google-research/electra means the same and is off by one: its top
    layer has decay² (issue 51).
    """

    facts = describe_task(cfg.model, cfg.head, shape)

    def rate(path: str) -> float:
        at = facts[path].depth
        if at is None:
            return cfg.tune.head_rate
        return cfg.tune.layer_decay ** (cfg.model.num_layers + 1 - at)

    return unflatten({path: rate(path) for path in flatten(params)})


def separate(cfg: FinetuneConfig, shape: TaskShape, params: model.Params) -> tuple[Any, Any]:
    """Cut a parameter tree in two: what is trained, and what stays."""
    leaves, facts = flatten(params), describe_task(cfg.model, cfg.head, shape)
    trained = {path: leaf for path, leaf in leaves.items() if is_trained(cfg, facts[path])}
    kept = {path: leaf for path, leaf in leaves.items() if path not in trained}
    return unflatten(trained), unflatten(kept)


def join(trained: Any, kept: Any) -> model.Params:
    """The inverse of `separate`."""
    return unflatten(flatten(trained) | flatten(kept))
