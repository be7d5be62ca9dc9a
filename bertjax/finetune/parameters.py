"""Which parameters a fine-tuning run starts from, and which of them it moves."""

from __future__ import annotations

import re
from typing import Any

import jax
import numpy as np

from bertjax import model
from bertjax.config import FinetuneConfig
from bertjax.model.task import TaskShape, init_task
from bertjax.tree import flatten, unflatten


def initial_parameters(
    cfg: FinetuneConfig, shape: TaskShape, encoder: model.Params, seed: int
) -> tuple[model.Params, list[str]]:
    """Parameters to start from, and the paths of those that are random.

    The encoder's are taken over by path, the pooler's too where there are any; the head is new,
    and so are the top `tune.reinit_layers` layers with the pooler (Zhang et al. 2021, "Revisiting
    few-sample BERT fine-tuning").
    """
    fresh = flatten(
        jax.device_get(
            jax.jit(init_task, static_argnums=(0, 1, 2))(
                cfg.model, cfg.head, shape, jax.random.key(seed)
            )
        )
    )
    given = flatten(encoder)
    kept = {path for path in fresh if path in given and not _is_reset(cfg, path)}
    leaves = {path: np.asarray(given[path]) if path in kept else fresh[path] for path in fresh}
    return unflatten(leaves), sorted(fresh.keys() - kept)


def _is_reset(cfg: FinetuneConfig, path: str) -> bool:
    if path.startswith("pooler/"):
        return cfg.tune.reinit_layers > 0
    layer = re.match(r"layer_(\d+)/", path)
    return layer is not None and int(layer[1]) >= cfg.model.num_layers - cfg.tune.reinit_layers


def is_trained(cfg: FinetuneConfig, path: str) -> bool:
    """Whether the parameter at `path` moves: what is above the frozen layers, and the head."""
    if cfg.tune.layers == -1:
        return True
    if path.startswith("embeddings/"):
        return False
    layer = re.match(r"layer_(\d+)/", path)
    return layer is None or int(layer[1]) >= cfg.model.num_layers - cfg.tune.layers


def separate(cfg: FinetuneConfig, params: model.Params) -> tuple[Any, Any]:
    """Cut a parameter tree in two: what is trained, and what stays."""
    leaves = flatten(params)
    trained = {path: leaf for path, leaf in leaves.items() if is_trained(cfg, path)}
    kept = {path: leaf for path, leaf in leaves.items() if path not in trained}
    return unflatten(trained), unflatten(kept)


def join(trained: Any, kept: Any) -> model.Params:
    """The inverse of `separate`."""
    return unflatten(flatten(trained) | flatten(kept))
