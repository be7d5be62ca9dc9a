"""Runs share what is compiled unless something else is computed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest
from tiny_task import config, eight_rows, encoder

from bertjax import sharding
from bertjax.config import FinetuneConfig, MeshConfig, TaskConfig
from bertjax.finetuning.parameters import initial_parameters, separate
from bertjax.finetuning.settle import task_shape
from bertjax.finetuning.step import Pace, make_predict, make_steps
from bertjax.optim.schedules import Turns

HERE = config(Path("here.tsv"), task={"labels": ("bad", "good")})
# Nothing of it is computed: none of its options has the value that it has here or by default.
ELSEWHERE = replace(
    HERE,
    task=TaskConfig(
        name="other", labels=("no", "yes"), metric="f1", positive="no", balanced=True, max_query=9
    ),
    data=replace(
        HERE.data, train="x.csv", dev="y.csv", test="z.csv", text="a", label="b", max_rows=9
    ),
    tune=replace(
        HERE.tune, epochs=7, batch_size=9, evaluation_batch_size=9, patience=2, seeds=(4, 5),
        folds=2, row_lengths=1, log_every=99,
    ),
)  # fmt: skip


def lowered(cfg: FinetuneConfig) -> list[str]:
    """The programs of a run, of training and of prediction, as they go to the compiler."""
    shape, mesh, batch = task_shape(HERE), sharding.make_mesh(MeshConfig()), eight_rows(cfg)
    initial, fresh = initial_parameters(cfg, shape, encoder(), 0)
    trained, kept = separate(cfg, shape, initial, fresh)
    with jax.set_mesh(mesh):
        steps, predict = (make(cfg, shape, mesh) for make in (make_steps, make_predict))
        state = jax.eval_shape(steps.init, trained)
        pace = Pace(Turns(*map(np.float32, (0, 0, 9))), np.int32(0))
        inputs = state, kept, jax.random.key(0), batch, pace
        return [steps.train.lower(*inputs).as_text(), predict.lower(initial, batch).as_text()]


def test_runs_share_programs_unless_something_else_is_computed():
    shape, mesh = task_shape(HERE), sharding.make_mesh(MeshConfig())
    for make in (make_steps, make_predict):
        shared = make(HERE, shape, mesh)
        assert make(ELSEWHERE, shape, mesh) is shared
        faster = replace(HERE, optim=replace(HERE.optim, learning_rate=1e-4))
        assert make(faster, shape, mesh) is not shared


@pytest.mark.parametrize(
    "tune",
    [
        {},
        {"unfreeze": 1, "fgm": 0.5, "rdrop": 2.0, "layer_decay": 0.9},
        {"method": "lora", "compute_dtype": "bfloat16"},
    ],
    ids=["plain", "craft", "lora"],
)
def test_no_program_reads_what_only_the_loop_goes_by(tune, monkeypatch):
    """The programs of a config as it stands are those of what is computed of it."""
    cfg = replace(ELSEWHERE, tune=replace(ELSEWHERE.tune, **tune))
    shared = lowered(cfg)
    monkeypatch.setattr(FinetuneConfig, "computed", property(lambda whole: whole))
    assert lowered(cfg) == shared
