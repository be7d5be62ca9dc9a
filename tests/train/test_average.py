"""The moving average of the weights: what it is of, what it survives, and who gets it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from functools import cache

import jax
import numpy as np
import optax
import pytest
import tiny_model
import tiny_run
from safetensors.numpy import load_file
from tiny_model import ROWS, SPECIAL, by_path, largest_difference, run_config

from bertjax import sharding
from bertjax.cli.main import main
from bertjax.config import ReplacedTokensConfig
from bertjax.errors import EXIT_BAD_INPUT
from bertjax.objectives.choice import objective_of
from bertjax.objectives.presets import ELECTRA
from bertjax.pretrained import open_pretrained
from bertjax.train.state import fresh_state, state_shardings
from bertjax.train.step import make_train_step

pytestmark = pytest.mark.slow

DECAY, STEPS, SKIPPED = 0.7, 10, 4  # the step whose batch is spoilt
RUN = run_config(average=DECAY, eps=1e-4)
PAIR = replace(
    RUN,
    data=RUN.data.without_pair_loss,
    masking=ELECTRA,
    model=replace(tiny_model.MODEL, embedding_size=16),
    replaced_tokens=ReplacedTokensConfig(weight=50.0, generator_size=0.5),
).with_trained_heads()


@cache
def states(cfg, shape=(1, 1, 1)):
    """The states after each of ten steps, of which one is not finite."""
    mesh = tiny_model.mesh(*shape)
    with jax.set_mesh(mesh):
        state = fresh_state(cfg, mesh)
        found = [jax.device_get(state)]
        step = make_train_step(cfg, objective_of(cfg, SPECIAL), mesh)
        for index in range(STEPS):
            good = found[-1]
            if index == SKIPPED:
                spoilt = jax.tree.map(np.copy, good.params)
                spoilt["layer_0"]["attention"]["query"]["kernel"][0, 0] = np.nan
                state = state._replace(
                    params=jax.device_put(spoilt, state_shardings(cfg, mesh).params)
                )
            batch = sharding.to_devices(mesh, tiny_model.source(cfg.data).batch(index), ROWS)
            state, metrics = step(state, batch, 0, None)
            if index == SKIPPED:
                assert int(metrics["skipped"]) == 1
                places = state_shardings(cfg, mesh).params
                state = state._replace(params=jax.device_put(good.params, places))
            found.append(jax.device_get(state))
    return found


@pytest.mark.parametrize("cfg", [RUN, PAIR], ids=["one network", "two"])
def test_it_is_that_of_optax_over_the_updates_that_were_made(cfg):
    found = states(cfg)
    with jax.enable_x64(True):
        oracle = optax.ema(DECAY, debias=True, accumulator_dtype=np.float64)
        expected = jax.tree.map(np.float64, found[0].params)
        kept = oracle.init(expected)
        for index, state in enumerate(found[1:]):
            if index != SKIPPED:
                expected, kept = oracle.update(jax.tree.map(np.float64, state.params), kept)
            assert largest_difference(state.average, expected) < 1e-6, index
    before, after = (by_path(found[SKIPPED + i].average) for i in (0, 1))
    tiny_run.assert_same_bits(before, after)
    assert largest_difference(found[-1].average, found[-1].params) > 1e-3


def test_training_is_what_it_is_without():
    without = replace(RUN, optim=replace(RUN.optim, average=0.0))
    ours, theirs = states(RUN)[-1], states(without)[-1]
    assert theirs.average is None and theirs.result is theirs.params
    tiny_run.assert_same_bits(by_path(ours.params), by_path(theirs.params))
    tiny_run.assert_same_bits(by_path(ours.optimizer), by_path(theirs.optimizer))


@pytest.mark.mesh
@pytest.mark.parametrize("cfg", [RUN, PAIR], ids=["one network", "two"])
def test_a_mesh_changes_nothing_and_each_average_lies_where_its_parameter_does(cfg):
    ours, theirs = states(cfg)[-1], states(cfg, (2, 2, 2))[-1]
    assert largest_difference(ours.average, theirs.average) < 2e-5
    places = state_shardings(cfg, tiny_model.mesh(2, 2, 2))
    assert places.average == places.params


# A run.

OPTIONS = ("optim.average=0.8", "train.steps=12")


@pytest.fixture(scope="module")
def run(tmp_path_factory, recipe, corpus):
    workdir = tmp_path_factory.mktemp("average") / "run"
    assert main(tiny_run.pretrain_argv(workdir, recipe, corpus, *OPTIONS)) == 0
    return workdir


def test_a_run_that_goes_on_ends_as_the_unbroken_one(run, recipe, corpus, tmp_path, capfd):
    half = tiny_run.rewind(run, tmp_path / "run", 5)
    assert main(tiny_run.pretrain_argv(half, recipe, corpus, *OPTIONS)) == 0
    said = capfd.readouterr().err
    assert "weights averaged by 0.8" in said and "held-out, averaged weights: loss" in said
    tiny_run.assert_same_bits(tiny_run.state(half), tiny_run.state(run))
    assert tiny_run.metrics(half) == tiny_run.metrics(run)
    without = tiny_run.pretrain_argv(half, recipe, corpus, OPTIONS[1])
    assert main(without) == EXIT_BAD_INPUT
    assert "optim.average" in capfd.readouterr().err


def test_whoever_opens_a_run_gets_the_average(run, tmp_path):
    newest = tmp_path / "run"
    shutil.copytree(run, newest)
    shutil.rmtree(newest / "best")
    stored = tiny_run.state(run)
    for path in (run, newest):  # the last step is the best one
        found = open_pretrained(path)
        assert found.step == 12 and "averaged weights" in found.source
        for name, leaf in by_path(found.params).items():
            np.testing.assert_array_equal(leaf, stored[f"params/{name}"])
    name = "embeddings/word_embeddings/embedding"
    assert np.abs(stored[f"params/{name}"] - stored[f"optimizer/params/{name}"]).max() > 1e-4


def test_an_export_is_the_average_and_says_so(run, tmp_path, capfd):
    out = tmp_path / "hf"
    assert main(["export", str(run), "--out", str(out)]) == 0
    words = load_file(out / "model.safetensors")["bert.embeddings.word_embeddings.weight"]
    stored = tiny_run.state(run)["params/embeddings/word_embeddings/embedding"]
    np.testing.assert_array_equal(words, stored[: len(words)])
    assert "moving average by 0.8" in (out / "README.md").read_text()
    assert main(["info", str(run)]) == 0
    assert "moving average by 0.8" in capfd.readouterr().out


def test_another_run_begins_with_the_average(run, recipe, corpus, tmp_path):
    argv = tiny_run.pretrain_argv(tmp_path / "run", recipe, corpus, "optim.learning_rate=0")
    assert main([*argv, "--init", str(run), "train.steps=1", "optim.average=0.5"]) == 0
    ours, theirs = (by_path(open_pretrained(path).params) for path in (tmp_path / "run", run))
    tiny_run.assert_same_bits(ours, theirs)


def test_fine_tuning_refuses_it(run, tmp_path, capfd):
    argv = ["finetune", "--config", "sst2", "--workdir", str(tmp_path / "ft")]
    assert main([*argv, "--init", str(run), "optim.average=0.9"]) == EXIT_BAD_INPUT
    assert "optim.average=0.9: fine-tuning keeps" in capfd.readouterr().err
