"""A step whose rows share lines is the step whose rows have a line each."""

from __future__ import annotations

import jax
import numpy as np
import optax
import pytest
from tiny_task import config, start, write_table

from bertjax import sharding
from bertjax.config import MeshConfig
from bertjax.finetuning import parameters
from bertjax.finetuning.batches import Plan, training_plan
from bertjax.finetuning.inference import to_devices
from bertjax.finetuning.layout import Form
from bertjax.finetuning.material import Material
from bertjax.finetuning.settle import settle, task_shape
from bertjax.finetuning.splits import open_splits
from bertjax.finetuning.step import Pace, make_predict, make_steps
from bertjax.optim.schedules import Turns
from bertjax.tree import flatten

pytestmark = pytest.mark.mesh


def test_sharing_lines_changes_neither_step_nor_prediction(tmp_path):
    cfg = config(
        write_table(tmp_path / "train.tsv", 40),
        model={"hidden_dropout": 0.0, "attention_dropout": 0.0},
        head={"dropout": 0.0},
        tune={"batch_size": 16},
    )
    splits = open_splits(cfg)
    cfg = settle(cfg, splits)
    mesh = sharding.make_mesh(MeshConfig())
    material = Material(cfg, splits, start().tokenizer, mesh.size)
    rows, size = material.encoded["train"].rows, cfg.tune.batch_size
    shared = training_plan(rows, material.training_forms, size, 0, 0)[0]
    width = shared.form.longest
    alone = Plan(
        shared.groups, Form(size, width, width), [i * width for i in range(len(shared.groups))]
    )
    assert shared.form.lines < size
    initial, _ = parameters.initial_parameters(cfg, task_shape(cfg), start().params, 0)
    found = []
    with jax.set_mesh(mesh):
        steps, predict = (make(cfg, task_shape(cfg), mesh) for make in (make_steps, make_predict))
        for plan in (shared, alone):
            batch = to_devices(mesh, rows, plan, size, material.tokenizer.special.pad)
            said = predict(initial, batch)
            trained, kept = parameters.separate(cfg, task_shape(cfg), initial)
            state = steps.init(trained)
            pace = Pace(Turns(*map(np.float32, (1, 1, 10))))
            after, metrics = steps.train(state, kept, jax.random.key(0), batch, pace)
            gradients = optax.tree_utils.tree_get(after.optimizer, "mu")  # times 1 - b1
            found.append(flatten(jax.device_get([said, metrics, gradients])))
    assert found[0].keys() == found[1].keys()
    for name, value in found[0].items():
        np.testing.assert_allclose(value, found[1][name], rtol=1e-5, atol=1e-6, err_msg=name)
