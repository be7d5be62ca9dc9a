"""One training step: rates, moments, dropout, and what is done with a step that went wrong."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache

import jax
import numpy as np
import pytest
import tiny_model
from golden import require_golden
from jax.sharding import PartitionSpec
from tiny_model import ROWS, RUN, SPECIAL, by_path, largest_difference, run_config

from bertjax import sharding
from bertjax.objectives.choice import objective_of
from bertjax.optim.schedules import learning_rate
from bertjax.train.state import fresh_state, state_shardings
from bertjax.train.step import make_train_step
from bertjax.tree import path_name

STEPS = 5


def batch(index: int) -> dict[str, np.ndarray]:
    return tiny_model.source().batch(index)


@cache
def compiled():
    """One device, and the step on it."""
    mesh = tiny_model.mesh()
    return mesh, make_train_step(RUN, objective_of(RUN, SPECIAL), mesh)


@cache
def fresh() -> dict:
    return jax.device_get(fresh_state(RUN, tiny_model.mesh()))


@cache
def five_steps():
    """The state after five steps on one device, and the metrics of each."""
    mesh, step = compiled()
    with jax.set_mesh(mesh):
        state = jax.device_put(fresh(), state_shardings(RUN, mesh))
        metrics = []
        for index in range(STEPS):
            state, found = step(state, sharding.to_devices(mesh, batch(index), ROWS), 0, None)
            metrics.append(found)
    return jax.device_get((state, metrics))


def test_the_loss_falls_and_the_rate_follows_the_schedule():
    state, metrics = five_steps()
    rate = learning_rate(RUN.optim, RUN.train.steps)
    for step, found in enumerate(metrics):
        assert float(found["learning_rate"]) == pytest.approx(float(rate(step)))
    assert int(state.step) == STEPS and int(state.skipped) == 0
    assert metrics[-1]["next_sentence_loss"] < metrics[0]["next_sentence_loss"]
    assert int(metrics[0]["tokens"]) == (batch(0)["segments"] != 0).sum()


def test_five_steps_are_those_that_were():
    _, metrics = five_steps()
    names = ("masked_lm_loss", "next_sentence_loss", "gradient_norm", "masked_lm_accuracy")
    require_golden("five steps", {name: [one[name] for one in metrics] for name in names})


def test_the_reported_rate_is_the_one_applied_after_a_skipped_step():
    mesh, step = compiled()
    first = sharding.to_devices(mesh, batch(0), ROWS)
    rate = learning_rate(RUN.optim, RUN.train.steps)
    with jax.set_mesh(mesh):
        places = state_shardings(RUN, mesh)
        broken = jax.tree.map(np.copy, fresh())
        broken.params["masked_lm"]["bias"][:] = np.nan
        state, metrics = step(jax.device_put(broken, places), first, 0, None)
        assert int(metrics["skipped"]) == 1 and int(state.step) == 1
        good = jax.device_put(fresh().params, places.params)
        state, metrics = step(state._replace(params=good), first, 0, None)
        straight, expected = step(jax.device_put(fresh(), places), first, 0, None)
    assert float(metrics["learning_rate"]) == float(expected["learning_rate"]) == float(rate(0))
    assert largest_difference(state.params, straight.params) == 0.0
    assert (int(state.bad_steps), int(state.skipped), int(state.step)) == (0, 1, 2)


def test_a_non_finite_step_changes_nothing_and_is_counted():
    mesh, step = compiled()
    first = sharding.to_devices(mesh, batch(0), ROWS)
    broken = jax.tree.map(np.copy, fresh())
    broken.params["layer_0"]["attention"]["query"]["kernel"][0, 0] = np.nan
    with jax.set_mesh(mesh):
        state = jax.device_put(broken, state_shardings(RUN, mesh))
        for n in (1, 2):
            state, metrics = step(state, first, 0, None)
            assert (int(metrics["bad_steps"]), int(metrics["skipped"])) == (n, n)
        assert int(state.step) == 2
        kept = jax.device_get((state.params, state.optimizer))
        jax.tree.map(np.testing.assert_array_equal, (broken.params, broken.optimizer), kept)
        good = jax.device_put(fresh().params, state_shardings(RUN, mesh).params)
        state, metrics = step(state._replace(params=good), first, 0, None)
    assert (int(metrics["bad_steps"]), int(metrics["skipped"])) == (0, 2)


def test_an_empty_batch_gives_no_nan():
    mesh, step = compiled()
    empty = {name: np.zeros_like(array) for name, array in batch(0).items()}
    empty["pair_labels"] -= 1
    with jax.set_mesh(mesh):
        state = jax.device_put(fresh(), state_shardings(RUN, mesh))
        state, metrics = step(state, sharding.to_devices(mesh, empty, ROWS), 0, None)
    assert float(metrics["masked_lm_loss"]) == 0.0 and int(metrics["bad_steps"]) == 0
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(jax.device_get(state.params)))


@pytest.mark.mesh
@pytest.mark.parametrize(
    ("optimizer", "per_block_matrix"), [("adamw", 2), ("lamb", 2), ("muon", 1)]
)
def test_every_moment_lies_where_its_parameter_lies(optimizer, per_block_matrix):
    places = state_shardings(run_config(optimizer), tiny_model.mesh(2, 2, 2))
    specs = {
        path_name(path): place.spec
        for path, place in jax.tree_util.tree_leaves_with_path(places.params)
    }
    moments: Counter[str] = Counter()
    for path, place in jax.tree_util.tree_leaves_with_path(places.optimizer):
        name = path_name(path)
        owners = [parameter for parameter in specs if name.endswith(f"/{parameter}")]
        if owners:
            owner = max(owners, key=len)
            moments[owner] += 1
            assert place.spec == specs[owner], name
        else:  # counts, and Muon's coefficients
            assert place.spec == PartitionSpec(), name
    for parameter in specs:
        in_block = parameter.startswith("layer_") and parameter.endswith("kernel")
        assert moments[parameter] == (per_block_matrix if in_block else 2), parameter


def test_dropout_is_new_in_every_step():
    cfg = replace(RUN, model=replace(RUN.model, hidden_dropout=0.2, attention_dropout=0.2))
    cfg = replace(cfg, optim=replace(cfg.optim, learning_rate=0.0))
    mesh = tiny_model.mesh()
    first = sharding.to_devices(mesh, batch(0), ROWS)
    with jax.set_mesh(mesh):
        state = fresh_state(cfg, mesh)
        step = make_train_step(cfg, objective_of(cfg, SPECIAL), mesh)
        losses = [float(five_steps()[1][0]["masked_lm_loss"])]
        for _ in range(2):
            state, metrics = step(state, first, 0, None)
            losses.append(float(metrics["masked_lm_loss"]))
    assert len({round(loss, 4) for loss in losses}) == 3


@pytest.mark.mesh
def test_parameters_are_made_on_the_mesh_with_the_same_bits():
    mesh = tiny_model.mesh(2, 2, 2)
    ours, theirs = by_path(fresh().params), by_path(fresh_state(RUN, mesh).params)
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)


def test_runs_share_a_step_unless_something_else_is_computed():
    mesh, step = compiled()
    elsewhere = replace(
        RUN,
        seed=7,
        data=replace(RUN.data, corpus="another", workers=2),
        train=replace(RUN.train, log_every=3, eval_rows=8, keep_checkpoints=9),
    )
    assert make_train_step(elsewhere, objective_of(elsewhere, SPECIAL), mesh) is step
    other = replace(RUN, train=replace(RUN.train, steps=30))
    assert make_train_step(other, objective_of(other, SPECIAL), mesh) is not step


def test_the_seed_of_a_run_is_data_to_its_step():
    """Other masks from the same program."""
    mesh, step = compiled()
    first = sharding.to_devices(mesh, batch(0), ROWS)
    expected = float(five_steps()[1][0]["masked_lm_loss"])  # which may compile the step
    before = step._cache_size()
    with jax.set_mesh(mesh):
        places = state_shardings(RUN, mesh)
        losses = []
        for seed in np.array([0, 7, 2**32 - 1], np.uint32):
            metrics = step(jax.device_put(fresh(), places), first, seed, None)[1]
            losses.append(float(metrics["masked_lm_loss"]))
    assert losses[0] == expected
    assert len(set(losses)) == 3 and step._cache_size() <= before + 1
