"""Several processes are one run: the same batches, losses and parameters."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_run
import xla_flags
from processes import HOST, finish_all, start_work, variables
from tiny_run import finish, metrics, newest_step, pretrain_argv, start, state

from bertjax.cluster import EXIT_LOST_PROCESS
from bertjax.config import PretrainConfig
from bertjax.errors import EXIT_BAD_INPUT, EXIT_PREEMPTED
from bertjax.overrides import load_config
from bertjax.train.data import open_data

# They wait for one another with limits of seconds, some of them not ours to set.
pytestmark = pytest.mark.alone

STEPS = 20
# The rate of the published recipe: Adam turns the rounding of gradients that are all but zero into
# steps of the size of the rate, and at this one 1e-6 is a thousandth of the way that was gone.
RATE = 1e-4
FLOOR = 1e-6  # of parameters after those steps, in float32


def start_training(argv: list[str], count: int, **more: str) -> list[subprocess.Popen[str]]:
    environments = [{"XLA_FLAGS": xla_flags.QUICK, **one, **more} for one in variables(count)]
    return [start([*argv, "--distributed"], **environment) for environment in environments]


def said_until(process: subprocess.Popen[str], pattern: str) -> None:
    assert any(re.match(pattern, line) for line in process.stderr), f"never said {pattern!r}"


def test_processes_read_disjoint_rows_that_make_the_same_batch(tmp_path, recipe, corpus):
    work = """
import dataclasses
import numpy as np
from bertjax import sharding
from bertjax.config import PretrainConfig
from bertjax.data.loader import load_batches
from bertjax.overrides import load_config
from bertjax.train.data import open_data
from bertjax.train.devices import make_mesh
cfg = load_config(Path(os.environ["RECIPE"]), PretrainConfig)
cfg = dataclasses.replace(cfg, data=dataclasses.replace(cfg.data, corpus=os.environ["CORPUS"]))
cfg, data = open_data(cfg)
rows = sharding.process_rows(make_mesh(cfg), 16, cfg.train.accumulate)
with load_batches(data.training(cfg, 0), 3, 5, 0, 1, rows) as stream:
    for step, batch in enumerate(stream, start=3):
        np.savez(Path(os.environ["OUT"], f"{step}-{rows.start}.npz"), **batch)
"""
    cfg = load_config(recipe, PretrainConfig)
    cfg = replace(cfg, data=replace(cfg.data, corpus=str(corpus)))
    cfg, data = open_data(cfg)
    whole = data.training(cfg, 0)
    for count in (2, 4):
        out = tmp_path / str(count)
        out.mkdir()
        places = {"RECIPE": str(recipe), "CORPUS": str(corpus), "OUT": str(out)}
        finish_all(start_work(work, variables(count), **places), 0)
        starts = range(0, 16, 16 // count)
        assert {path.name for path in out.iterdir()} == {
            f"{step}-{start}.npz" for step in (3, 4) for start in starts
        }
        for step in (3, 4):
            shares = [np.load(out / f"{step}-{start}.npz") for start in starts]
            for name, expected in whole.batch(step).items():
                parts = [share[name] for share in shares]
                assert all(len(part) == 16 // count for part in parts)
                assert np.concatenate(parts).tobytes() == expected.tobytes(), name


def argv_of(workdir: Path, recipe: Path, corpus: Path) -> list[str]:
    phases = '[{"seq_len": 16, "batch_size": 16, "fraction": 1.0}]'
    few = (f"data.phases={phases}", "model.num_layers=1")  # each is compiled
    steps = (f"train.steps={STEPS}", f"optim.learning_rate={RATE}")
    return pretrain_argv(workdir, recipe, corpus, *few, *steps)


def train_alone(workdir: Path, recipe: Path, corpus: Path, devices: int = 1) -> Path:
    """The same run by one process."""
    finish(start(argv_of(workdir, recipe, corpus), devices))
    return workdir


@pytest.fixture(scope="module")
def alone(tmp_path_factory, recipe, corpus) -> Path:
    return train_alone(tmp_path_factory.mktemp("alone") / "run", recipe, corpus)


def assert_same_run(workdir: Path, alone: Path) -> None:
    ours, theirs = state(workdir, STEPS), state(alone, STEPS)
    assert ours.keys() == theirs.keys()
    for name in ours:
        if name.startswith("params/"):
            np.testing.assert_allclose(ours[name], theirs[name], rtol=0, atol=FLOOR, err_msg=name)
    rows, expected = metrics(workdir), metrics(alone)
    assert [(r["kind"], r["step"]) for r in rows] == [(r["kind"], r["step"]) for r in expected]
    for loss in ("masked_lm_loss", "next_sentence_loss"):
        np.testing.assert_allclose(
            [r[loss] for r in rows], [r[loss] for r in expected], rtol=1e-6, err_msg=loss
        )


@pytest.mark.slow
def test_two_processes_are_bit_for_bit_one_with_two_devices(tmp_path, recipe, corpus, alone):
    two = tmp_path / "two"
    finish_all(start_training(argv_of(two, recipe, corpus), 2), 0)
    one = train_alone(tmp_path / "one", recipe, corpus, devices=2)
    tiny_run.assert_same_bits(state(two), state(one))
    assert metrics(two) == metrics(one)
    assert_same_run(two, alone)


@pytest.mark.slow
def test_four_processes_train_the_same_model(tmp_path, recipe, corpus, alone):
    finish_all(start_training(argv_of(tmp_path / "run", recipe, corpus), 4), 0)
    assert_same_run(tmp_path / "run", alone)


RESTORE = """
import numpy as np
from jax.experimental import multihost_utils
from bertjax import sharding
from bertjax.checkpoint import CheckpointStore
from bertjax.config import MeshConfig
from bertjax.pretrained import run_config
from bertjax.train.state import abstract_state, checkpoint_items
from bertjax.tree import flatten
run = Path(os.environ["RUN"])
mesh = sharding.make_mesh(MeshConfig(fsdp=2))
wanted = checkpoint_items(abstract_state(run_config(run), mesh))
found = CheckpointStore(run / "checkpoints", keep=1).restore(wanted)
whole = {
    name: multihost_utils.process_allgather(leaf, tiled=True)
    for name, leaf in flatten(found.items).items()
}
np.savez(run.parent / f"restored-{me}.npz", **whole)
"""


@pytest.mark.slow
def test_stopped_by_a_signal_to_one_and_resumed_by_four(tmp_path, recipe, corpus, alone):
    workdir = tmp_path / "run"
    argv = argv_of(workdir, recipe, corpus)
    two = start_training(argv, 2)
    said_until(two[0], "eval   step 6 ")
    two[1].send_signal(signal.SIGTERM)
    finish_all(two, EXIT_PREEMPTED)
    saved = newest_step(workdir / "checkpoints")
    assert 6 < saved < STEPS
    finish_all(start_work(RESTORE, variables(4), RUN=str(workdir)), 0)
    for index in range(4):
        tiny_run.assert_same_bits(dict(np.load(tmp_path / f"restored-{index}.npz")), state(workdir))
    said = finish_all(start_training(argv, 4), 0)
    assert f"resuming after step {saved}\n" in said[0] and "4 data" in said[0]
    assert_same_run(workdir, alone)


@pytest.mark.slow
def test_other_configs_and_other_corpora_are_refused_before_the_first_step(
    tmp_path, recipe, corpus
):
    other = tiny_run.prepare(tiny_run.write_text(tmp_path / "t.txt", seed=1), tmp_path / "other")
    workdir = tmp_path / "run"
    for option, says in (
        ("data.phases.1.seq_len=24", "data.phases.1.seq_len is 32 in process 0"),
        (f"data.corpus={other}", "corpus identity is "),
    ):
        argv = [*pretrain_argv(workdir, recipe, corpus), "--distributed"]
        first, second = variables(2)
        processes = [start(argv, **first), start([*argv, option], **second)]
        for said in finish_all(processes, EXIT_BAD_INPUT):
            assert said.startswith(f"bertjax: {says}") and said.count("\n") == 1
            assert f"in process 1 ({HOST})" in said
    assert not workdir.exists()


@pytest.mark.slow
def test_a_process_killed_in_training_costs_no_checkpoint(tmp_path, recipe, corpus):
    workdir = tmp_path / "run"
    argv = pretrain_argv(workdir, recipe, corpus, "train.steps=100000")
    processes = start_training(argv, 2, BERTJAX_LOST_SECONDS="5")
    said_until(processes[0], "eval   step 12 ")
    while (newest_step(workdir / "checkpoints") or 0) < 10:  # it is written while training goes on
        time.sleep(0.05)
    processes[1].kill()
    said, _ = finish_all(processes, EXIT_LOST_PROCESS, -signal.SIGKILL)
    assert f"bertjax: process 1 ({HOST}) died: no sign of life for 5 s: the same command" in said
    assert "Traceback" not in said
    assert newest_step(workdir / "checkpoints") >= 10
