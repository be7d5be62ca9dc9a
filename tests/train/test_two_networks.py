"""Two networks in one step: meshes, micro-batches and stops change nothing; each opens alone."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from functools import cache

import jax
import numpy as np
import pytest
import tiny_model
import tiny_run
from tiny_model import ROWS, SPECIAL, by_path

from bertjax import sharding
from bertjax.ablate.check import Material
from bertjax.ablate.probes import TaggedWords
from bertjax.cli.main import main
from bertjax.config import PretrainConfig, ReplacedTokensConfig
from bertjax.errors import EXIT_BAD_INPUT
from bertjax.model import networks
from bertjax.objectives.choice import objective_of
from bertjax.objectives.presets import ELECTRA
from bertjax.pretrained import open_masked_lm, open_newest, open_pretrained, run_config
from bertjax.probe.tagged_words import read_tagged, tag_scores
from bertjax.train.state import fresh_state
from bertjax.train.step import make_train_step

PAIR = replace(
    tiny_model.run_config(eps=1e-4),  # rounding of near-zero gradients is no step
    data=tiny_model.RUN.data.without_pair_loss,
    masking=ELECTRA,
    model=replace(tiny_model.MODEL, embedding_size=16),
    replaced_tokens=ReplacedTokensConfig(weight=50.0, generator_size=0.5),
).with_trained_heads()
STEPS = 4


@cache
def train(shape: tuple[int, int, int], accumulate: int, optimizer: str = "adamw"):
    """Metrics of four steps, and the parameters after them."""
    cfg = replace(
        PAIR,
        train=replace(PAIR.train, accumulate=accumulate),
        optim=replace(PAIR.optim, optimizer=optimizer),
    )
    mesh = tiny_model.mesh(*shape)
    with jax.set_mesh(mesh):
        state = fresh_state(cfg, mesh)
        step = make_train_step(cfg, objective_of(cfg, SPECIAL), mesh)
        found = []
        for index in range(STEPS):
            batch = sharding.to_devices(mesh, tiny_model.source().batch(index), ROWS)
            state, metrics = step(state, batch, 0, None)
            found.append(metrics)
    return jax.device_get((found, state.params))


@pytest.mark.mesh
@pytest.mark.slow
@pytest.mark.parametrize(("shape", "accumulate"), [((1, 1, 1), 4), ((8, 1, 1), 1), ((2, 2, 1), 2)])
def test_mesh_and_accumulation_equal_one_device(shape, accumulate):
    metrics, params = train((1, 1, 1), 1)
    their_metrics, their_params = train(shape, accumulate)
    for ours, theirs in zip(metrics, their_metrics, strict=True):
        for name in ours:
            assert float(theirs[name]) == pytest.approx(float(ours[name]), abs=2e-5), name
    ours, theirs = by_path(params), by_path(their_params)
    for name in ours:
        np.testing.assert_allclose(theirs[name], ours[name], rtol=0, atol=2e-5, err_msg=name)


def test_both_networks_learn():
    fresh = by_path(fresh_state(PAIR, tiny_model.mesh()).params)
    moved = by_path(train((1, 1, 1), 1)[1])
    still = [name for name in fresh if np.array_equal(fresh[name], moved[name])]
    assert not still


# A run of two networks.

RECIPE = (
    tiny_run.RECIPE.replace("hidden_size=32,", "hidden_size=32, embedding_size=16,")
    .replace(
        "ModelConfig(", 'ModelConfig(family="electra", head_activation="gelu", pooler="gelu", '
    )
    .replace("optim=", "replaced_tokens=ReplacedTokensConfig(50.0, 0.25),\n        optim=")
    .replace("data=DataConfig(", 'data=DataConfig(format="segment_pair+nsp_rows", ')
    .replace("steps=24", "steps=10")
)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    path = tmp_path_factory.mktemp("pair") / "pair.py"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory, recipe, corpus):
    workdir = tmp_path_factory.mktemp("pair") / "run"
    assert main(tiny_run.pretrain_argv(workdir, recipe, corpus)) == 0
    return workdir


@pytest.mark.slow
def test_a_run_that_goes_on_ends_as_the_unbroken_one(run, recipe, corpus, tmp_path):
    half = tiny_run.rewind(run, tmp_path / "run", 5)
    assert main(tiny_run.pretrain_argv(half, recipe, corpus)) == 0
    tiny_run.assert_same_bits(tiny_run.state(half), tiny_run.state(run))
    ours, theirs = (tiny_run.metrics(path, "evaluation")[-1] for path in (half, run))
    assert ours == theirs
    assert {"masked_lm_loss", "replaced_token_loss", "replaced_token_recall"} <= ours.keys()


def test_a_run_opens_as_the_model_and_as_its_generator(run):
    cfg: PretrainConfig = run_config(run)
    found = open_pretrained(run)
    assert found.cfg == cfg.model and "generator" not in found.params
    assert found.generator.cfg == cfg.generator
    filling, _ = open_masked_lm(run)
    assert filling.cfg == cfg.generator and "masked_lm" in filling.params
    words = [
        p["embeddings"]["word_embeddings"]["embedding"] for p in (found.params, filling.params)
    ]
    np.testing.assert_array_equal(*words)


def test_a_grid_asks_the_detector_of_frozen_states(run, tmp_path):
    """As `bertjax probe --tagged` does; of tags at random the two networks guess otherwise."""
    draw = random.Random(0)
    sentences = (
        "".join(
            f"{i}\t{word}\t_\t{draw.choice(('NOUN', 'VERB', 'ADJ'))}\t_\t_\t0\t_\t_\t_\n"
            for i, word in enumerate(draw.sample(tiny_run.NOUNS, 5), 1)
        )
        for _ in range(60)
    )
    (tmp_path / "words.conllu").write_text("\n".join(sentences) + "\n")
    words = read_tagged(str(tmp_path / "words.conllu"))
    parts = words[:30], words[30:]
    scores = Material(None, [TaggedWords(*parts)]).measure(run)["words"]
    found = open_newest(run)
    detector, generator = (
        np.mean(
            [one.values for one in tag_scores(of.cfg, of.params, found.tokenizer, *parts).values()],
            axis=0,
        )
        for of in (found, found.generator)
    )
    np.testing.assert_allclose(scores.values, detector)
    assert not np.allclose(generator, detector)


def test_both_networks_are_exported(run, tmp_path):
    for option, name in ((), "ElectraForPreTraining"), (("--generator",), "ElectraForMaskedLM"):
        out = tmp_path / name
        assert main(["export", str(run), "--out", str(out), *option]) == 0
        assert json.loads((out / "config.json").read_text())["architectures"] == [name]


@pytest.mark.slow
def test_a_run_begins_with_both_networks_of_another(run, recipe, corpus, tmp_path, capfd):
    argv = tiny_run.pretrain_argv(tmp_path / "run", recipe, corpus, "optim.learning_rate=0")
    assert main([*argv, "--init", str(run), "train.steps=1"]) == 0
    ours, theirs = open_pretrained(tmp_path / "run"), open_pretrained(run)
    tiny_run.assert_same_bits(by_path(ours.all_params), by_path(theirs.all_params))
    assert main(["info", str(run)]) == 0
    assert "generator" in capfd.readouterr().out


@pytest.mark.slow
def test_what_other_weights_lack_is_said_and_what_does_not_fit_is_refused(
    run, recipe, corpus, tmp_path, capfd
):
    argv = tiny_run.pretrain_argv(tmp_path / "wide", recipe, corpus, "train.steps=1")
    wider = "replaced_tokens.generator_size=0.5"
    assert main([*argv, "--init", str(run), wider]) == EXIT_BAD_INPUT
    assert "has shape (8,) in the weights to begin with and (16,)" in capfd.readouterr().err
    masked = tiny_run.pretrain_argv(tmp_path / "masked", recipe, corpus, "train.steps=1")
    options = ("replaced_tokens.weight=0", "data.format=full_sentences")
    assert main([*masked, "--init", str(run), *options]) == 0
    assert "not in them, and random: masked_lm\n" in capfd.readouterr().err


def test_sizes_are_told_apart():
    told = networks.sizes(PAIR)
    assert " + generator of " in told and told.count("parameters") == 2
