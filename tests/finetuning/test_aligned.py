"""Steps that see unlabelled rows beside labelled ones: their loss, on any devices, resumed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import optax
import pytest
from tiny_task import assert_resumes, config, start, write_table

from bertjax import sharding
from bertjax.cli.main import main
from bertjax.config import MeshConfig
from bertjax.finetuning import parameters
from bertjax.finetuning.batches import Beside, training_plan
from bertjax.finetuning.gradients import weighted_mean
from bertjax.finetuning.inference import to_devices
from bertjax.finetuning.material import Material
from bertjax.finetuning.settle import settle, task_shape, training_shape
from bertjax.finetuning.splits import open_splits
from bertjax.finetuning.step import Pace, make_steps
from bertjax.model.domains import DISCRIMINATOR
from bertjax.model.task import apply_task
from bertjax.objectives import domains
from bertjax.optim.schedules import Turns
from bertjax.tree import flatten


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("aligned")
    for name, rows, seed in (("train", 40, 0), ("dev", 16, 1), ("more", 30, 2)):
        write_table(folder / f"{name}.tsv", rows, seed)
    return folder


def settings(files, **transfer):
    return config(
        files / "train.tsv",
        files / "dev.tsv",
        data={"unlabelled": str(files / "more.tsv")},
        model={"hidden_dropout": 0.0, "attention_dropout": 0.0},
        head={"dropout": 0.0},
        tune={"epochs": 2},
        transfer=transfer,
    )


def steps_of(cfg, devices: int, count: int):
    """Metrics of some steps, what each saw, the first one's gradients, parameters at the end."""
    splits = open_splits(cfg)
    cfg = settle(cfg, splits)
    mesh = sharding.make_mesh(MeshConfig(), jax.devices()[:devices])
    material = Material(cfg, splits, start().tokenizer, mesh.size)
    train, size = material.encoded["train"].rows, cfg.tune.batch_size
    train.weights = np.where(np.arange(len(train.tokens)) % 3, 1, 0.1).astype(np.float32)
    beside = Beside(material.encoded["unlabelled"].rows, material.beside_forms, size, 0)
    shape, pad = training_shape(cfg), material.tokenizer.special.pad
    initial, fresh = parameters.initial_parameters(cfg, shape, start().params, 0)
    trained, kept = parameters.separate(cfg, shape, initial, fresh)
    seen, metrics, gradients = [], [], None
    with jax.set_mesh(mesh):
        steps = make_steps(cfg, shape, mesh)
        state = steps.init(trained)
        plans = training_plan(train, material.training_forms, size, 0, 0)
        for step in range(count):
            batch = to_devices(mesh, train, plans[step % len(plans)], size, pad)
            batch["unlabelled"] = to_devices(mesh, *beside.rows_and_plan(step), size, pad)
            seen.append(jax.device_get((state.params, batch)))
            pace = Pace(Turns(*map(np.float32, (0, 0, 4))), np.int32(0))
            state, said = steps.train(state, kept, jax.random.key(0), batch, pace)
            metrics.append(jax.device_get(said))
            if not step:  # times 1 - b1
                mu = optax.tree_utils.tree_get(state.optimizer, "mu")
                gradients = flatten(jax.device_get(mu))
        return cfg, shape, seen, metrics, gradients, jax.device_get(state.params)


@pytest.mark.mesh
@pytest.mark.parametrize(
    "transfer",
    [
        {"method": "mmd", "weight": 0.7},
        {"method": "dann", "weight": 0.7, "width": 8, "layer": 1},
    ],
    ids=lambda transfer: transfer["method"],
)
def test_eight_devices_take_the_step_of_one_and_its_loss_is_what_it_says(files, transfer):
    cfg, shape, seen, metrics, gradients, _ = steps_of(settings(files, **transfer), 8, 3)
    for (params, batch), said in zip(seen, metrics, strict=True):
        beside = batch.pop("unlabelled")
        outputs = [
            jax.jit(lambda p, b: apply_task(cfg.model, cfg.head, shape, p, b | {"reversal": 0.0}))(
                params, b
            )
            for b in (batch, beside)
        ]
        real = batch["example_weights"], beside["example_weights"]
        ours, theirs = outputs
        own = weighted_mean(shape, ours, batch)
        if transfer["method"] == "mmd":
            apart = 0.7 * domains.squared_mmd(ours["features"], theirs["features"], *real)
        else:
            apart = domains.told_apart(ours["domain"], theirs["domain"], *real)
        assert abs(float(apart)) > 1e-4
        assert float(said["loss"]) == pytest.approx(float(own + apart), rel=1e-4)
    *_, one_metrics, of_one, _ = steps_of(settings(files, **transfer), 1, 3)
    for one, eight in zip(one_metrics, metrics, strict=True):
        assert float(one["loss"]) == pytest.approx(float(eight["loss"]), rel=1e-5)
    largest = max(np.abs(leaf).max() for leaf in of_one.values())
    for name, leaf in of_one.items():
        np.testing.assert_allclose(leaf, gradients[name], rtol=0, atol=2e-5 * largest, err_msg=name)


def test_all_unlabelled_rows_come_in_turn(files):
    cfg = settings(files, method="mmd")
    splits = open_splits(cfg)
    material = Material(settle(cfg, splits), splits, start().tokenizer, 1)
    rows = material.encoded["unlabelled"].rows
    beside = Beside(rows, material.beside_forms, 16, 0)
    turns = [[beside.rows_and_plan(step)[1].groups for step in (2 * i, 2 * i + 1)] for i in (0, 1)]
    for turn in turns:
        assert sorted(np.concatenate(turn).tolist()) == list(range(30))
    assert turns[0][0].tolist() != turns[1][0].tolist()
    again = Beside(rows, material.beside_forms, 16, 0)  # from the middle, as a resumed run
    assert again.rows_and_plan(3)[1].groups.tolist() == turns[1][1].tolist()


@pytest.mark.slow
def test_a_run_resumes_bit_for_bit_and_keeps_no_discriminator(files, tmp_path):
    cfg = settings(files, method="dann", width=8)
    dropout = {"hidden_dropout": 0.1}
    cfg = replace(cfg, model=replace(cfg.model, **dropout))
    ours = assert_resumes(cfg, tmp_path, (2, 3))  # in the first epoch, in the second
    a = flatten(ours.parameters(ours.best))
    assert (
        a.keys()
        == flatten(
            parameters.initial_parameters(ours.cfg, task_shape(ours.cfg), start().params, 0)[0]
        ).keys()
    )
    assert not any(path.startswith(DISCRIMINATOR) for path in a)
    content = json.loads((tmp_path / "a" / "results.json").read_text())
    assert content["transfer"] == "dann" and content["cut"]["unlabelled"]["of"] == 30
    assert main(["export", str(tmp_path / "a"), "--out", str(tmp_path / "hf")]) == 0


@pytest.mark.slow
def test_what_is_drawn_together_comes_nearer(tmp_path):
    """Labelled rows of some words, unlabelled ones of others: their MMD before and after."""
    train = write_table(tmp_path / "train.tsv", 64)
    write_table(tmp_path / "dev.tsv", 16, 1)
    more = write_table(tmp_path / "more.tsv", 64, 2)
    more.write_text(more.read_text().replace("river", "winter").replace("city", "letter"))
    train.write_text(train.read_text().replace("winter", "house").replace("letter", "garden"))

    def distance(weight: float) -> float:
        cfg = settings(tmp_path, method="mmd", weight=weight)
        *_, after = steps_of(cfg, 1, 24)
        cfg, shape, seen, *_ = steps_of(cfg, 1, 4)
        found = []
        for _, batch in seen:
            beside = batch.pop("unlabelled")
            x, y = (
                apply_task(cfg.model, cfg.head, shape, after, b)["features"]
                for b in (batch, beside)
            )
            real = batch["example_weights"], beside["example_weights"]
            found.append(float(domains.squared_mmd(x, y, *real)))
        return float(np.mean(found))

    assert distance(20.0) < distance(0.0)
