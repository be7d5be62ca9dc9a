"""Which parameters a fine-tuning run starts from, which of them it moves, and how fast."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import lru_cache
from typing import Any

import jax
import numpy as np

from bertjax import model
from bertjax.config import FinetuneConfig, HeadConfig, ModelConfig
from bertjax.facts import Facts
from bertjax.finetuning.settle import method_of
from bertjax.model.domains import DISCRIMINATOR
from bertjax.model.parameters import parameter_count
from bertjax.model.task import TaskShape, abstract_task_params, describe_task, init_task
from bertjax.model.tuning.method import Method
from bertjax.tree import flatten, unflatten


def initial_parameters(
    cfg: FinetuneConfig, shape: TaskShape, encoder: model.Params, seed: int
) -> tuple[model.Params, list[str]]:
    """Parameters to start from, and the paths of those that are random.

    The encoder's are taken over by path, the pooler's too where there are any; the head is new,
    and so are the top `tune.reinit_layers` layers with all that is above them, which is pooler and
    final norm (Zhang et al. 2021, "Revisiting few-sample BERT fine-tuning").
    """
    given, method = flatten(encoder), method_of(cfg)
    wanted = flatten(abstract_task_params(cfg.model, cfg.head, shape, method))
    facts = describe_task(cfg.model, cfg.head, shape, method)
    new = sorted(path for path in wanted if path not in given or _is_reset(cfg, facts[path]))
    fresh = _fresh(cfg.model, cfg.head, shape, method, tuple(new))
    made = jax.device_get(fresh(jax.random.key(seed)))
    leaves = {path: made[path] if path in made else np.asarray(given[path]) for path in wanted}
    return unflatten(leaves), new


@lru_cache(maxsize=8)  # the models of a run differ in their keys alone
def _fresh(
    cfg: ModelConfig,
    head: HeadConfig,
    shape: TaskShape,
    method: Method | None,
    paths: tuple[str, ...],
) -> Callable[[jax.Array], dict[str, jax.Array]]:
    """Compiled: random values of the parameters at `paths`; in no time without the rest."""

    def fresh(key: jax.Array) -> dict[str, jax.Array]:
        leaves = flatten(init_task(cfg, head, shape, key, method))
        return {path: leaves[path] for path in paths}

    return jax.jit(fresh)


def _is_reset(cfg: FinetuneConfig, facts: Facts) -> bool:
    at = facts.depth
    lowest = cfg.model.num_layers + 1 - cfg.tune.reinit_layers
    return cfg.tune.reinit_layers > 0 and at is not None and at >= lowest


def is_trained(cfg: FinetuneConfig, facts: Facts, *, fresh: bool = False) -> bool:
    """Whether a parameter moves: what is above the frozen layers, and the head.

    With few weights it is the method's, the head's, or one that the encoder did not bring.
    """
    at, lowest, method = facts.depth, cfg.model.num_layers + 1 - cfg.tune.layers, method_of(cfg)
    if method is not None:
        return at is None or fresh or method.trains(facts)
    return cfg.tune.layers == -1 or at is None or at >= lowest


def rates(cfg: FinetuneConfig, shape: TaskShape, params: Any) -> Any:
    """The rate of every parameter relative to the schedule's, as a tree like `params`.

    Those of the head have `tune.head_rate`; everything else `tune.layer_decay` to the power of the
    number of layers above it: 0 for pooler and final norm, 1 for the top layer, L for the lowest,
    L + 1 for the embeddings. google-research/electra means the same and is off by one: its top
    layer has decay² (issue 51).
    """

    facts = describe_task(cfg.model, cfg.head, shape, method_of(cfg))

    def rate(path: str) -> float:
        at = facts[path].depth
        if at is None:
            return cfg.tune.head_rate
        return cfg.tune.layer_decay ** (cfg.model.num_layers + 1 - at)

    return unflatten({path: rate(path) for path in flatten(params)})


def separate(
    cfg: FinetuneConfig, shape: TaskShape, params: model.Params, fresh: Collection[str] = ()
) -> tuple[Any, Any]:
    """Cut a parameter tree in two: what is trained, and what stays.

    `fresh` are the paths that `initial_parameters` made.
    """
    leaves, facts = flatten(params), describe_task(cfg.model, cfg.head, shape, method_of(cfg))
    trained = {
        path: leaf
        for path, leaf in leaves.items()
        if is_trained(cfg, facts[path], fresh=path in fresh)
    }
    kept = {path: leaf for path, leaf in leaves.items() if path not in trained}
    return unflatten(trained), unflatten(kept)


def join(trained: Any, kept: Any) -> model.Params:
    """The inverse of `separate`."""
    return unflatten(flatten(trained) | flatten(kept))


def without_discriminator(trained: Any) -> Any:
    """What is kept of a model: all but what told labelled and unlabelled rows apart."""
    return {part: leaf for part, leaf in trained.items() if part != DISCRIMINATOR}


def shared(cfg: FinetuneConfig, shape: TaskShape, encoder: model.Params) -> Any:
    """What a run of few weights leaves of the encoder it starts from: not in its checkpoints.

    Where the encoder itself moves that is nothing: such a run holds all of its model.
    """
    if method_of(cfg) is None:
        return {}
    facts, given = describe_task(cfg.model, cfg.head, shape, method_of(cfg)), flatten(encoder)
    return unflatten(
        {path: given[path] for path in facts if path in given and not is_trained(cfg, facts[path])}
    )


def weight_counts(cfg: FinetuneConfig, shape: TaskShape, encoder: model.Params) -> dict[str, int]:
    """How many weights of the head are trained, how many below it, and how many stay."""
    wanted = abstract_task_params(cfg.model, cfg.head, shape, method_of(cfg))
    fresh = flatten(wanted).keys() - flatten(encoder).keys()
    trained, kept = separate(cfg, shape, wanted, fresh)
    head = {name: part for name, part in trained.items() if name == "head"}
    below = {name: part for name, part in trained.items() if name != "head"}
    parts = {"encoder": below, "head": head, "kept": kept}
    return {name: parameter_count(cfg.model, part) for name, part in parts.items()}
