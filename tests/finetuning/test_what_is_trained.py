"""What is trained, from what, and how fast: all of it by depth in the encoder."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_task

from bertjax import model
from bertjax.config import FinetuneConfig, OptimConfig
from bertjax.finetuning.parameters import initial_parameters, join, rates, separate
from bertjax.model.task import TaskShape, abstract_task_params
from bertjax.optim.optimizers import optimizer, optimizer_by_rates
from bertjax.tree import flatten

SHAPE = TaskShape("classification", 2)
EMBEDDINGS, LOWER, UPPER, ABOVE, HEAD = (
    {"embeddings"},
    {"layer_0"},
    {"layer_1"},
    {"pooler", "final_norm"},
    {"head"},
)


def config(norm: str = "pre", **tune) -> FinetuneConfig:
    """Two layers; with pre-norm there is a final norm above them."""
    return tiny_task.config(Path("x"), model={"norm": norm}, tune=tune)


@cache
def paths(norm: str = "pre") -> dict:
    cfg = config(norm)
    return flatten(abstract_task_params(cfg.model, cfg.head, SHAPE))


def parts(found) -> set[str]:
    return {path.partition("/")[0] for path in found}


def test_each_layer_has_the_decay_of_the_layers_above_it():
    cfg = config(layer_decay=0.5, head_rate=10.0)
    found = flatten(rates(cfg, SHAPE, abstract_task_params(cfg.model, cfg.head, SHAPE)))
    assert found.keys() == paths().keys()
    expected = {0.125: EMBEDDINGS, 0.25: LOWER, 0.5: UPPER, 1.0: ABOVE, 10.0: HEAD}
    for rate, names in expected.items():
        assert parts(path for path, value in found.items() if value == rate) == names


@pytest.mark.parametrize(
    ("layers", "still"),
    [
        (-1, set()),
        (0, EMBEDDINGS | LOWER | UPPER),
        (1, EMBEDDINGS | LOWER),
        (2, EMBEDDINGS),
    ],
)
def test_what_lies_below_the_trained_layers_stays(layers, still):
    cfg = config(layers=layers)
    params = abstract_task_params(cfg.model, cfg.head, SHAPE)
    trained, kept = separate(cfg, SHAPE, params)
    assert parts(flatten(kept)) == still
    assert parts(flatten(trained)) == parts(paths()) - still
    assert join(trained, kept) == params


@pytest.mark.parametrize(
    ("layers", "fresh"),
    [(0, HEAD), (1, HEAD | ABOVE | UPPER), (2, HEAD | ABOVE | UPPER | LOWER)],
)
def test_what_is_reset_is_random_and_the_rest_is_as_it_was(layers, fresh):
    cfg = config(reinit_layers=layers)
    encoder, _ = initial_parameters(config(), SHAPE, {}, seed=7)
    params, random = initial_parameters(
        cfg, SHAPE, {k: encoder[k] for k in parts(paths()) - HEAD}, 0
    )
    assert parts(random) == fresh
    assert set(random) == {path for path in paths() if path.partition("/")[0] in fresh}
    before, after = flatten(encoder), flatten(params)
    for path in paths().keys() - set(random):
        np.testing.assert_array_equal(before[path], after[path])


@pytest.mark.parametrize("clip", [0.0, 1.0])
def test_updates_are_scaled_decay_included_and_gradients_are_not(clip):
    cfg = OptimConfig(
        learning_rate=0.1,
        warmup_fraction=0.0,
        weight_decay=0.1,
        clip_norm=clip,
        schedule="constant",
    )
    kernel = {"kernel": jnp.full((2, 2), 0.5)}
    start = {
        "embeddings": {"word_embeddings": {"embedding": jnp.full((4, 2), 0.5)}},
        "layer_0": {"attention": {"query": kernel}},
        "pooler": {"dense": kernel},
    }
    grads = jax.tree.map(lambda p: 0.3 * p + 0.1, start)
    by = jax.tree.unflatten(jax.tree.structure(start), [0.25, 0.5, 2.0])
    facts = model.describe(tiny_task.config(Path("x")).model)
    plain, scaled = optimizer(cfg, 10, facts), optimizer_by_rates(cfg, 10, facts, by)
    ours, theirs = scaled.init(start), plain.init(start)
    for _ in range(3):
        a, ours = scaled.update(grads, ours, start)
        b, theirs = plain.update(grads, theirs, start)
        jax.tree.map(lambda x, y, r: np.testing.assert_allclose(x, y * r, rtol=1e-6), a, b, by)
        assert max(float(jnp.abs(x).max()) for x in jax.tree.leaves(a)) > 1e-3
