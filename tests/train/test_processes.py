"""Several processes are one run: the same batches, losses and parameters."""

from __future__ import annotations

import re
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import tiny_run
import xla_flags
from forked import Forked
from processes import HOST, finish_all, start_work, variables
from tiny_run import finish, metrics, newest_step, pretrain_argv, start, state

from bertjax.cluster import EXIT_LOST_PROCESS
from bertjax.errors import EXIT_BAD_INPUT, EXIT_PREEMPTED
from bertjax.pretrained import run_config
from bertjax.train.data import open_data

# They wait for one another with limits of seconds, some of them not ours to set.
pytestmark = pytest.mark.alone

STEPS = 20
# The rate of the published recipe: Adam turns the rounding of gradients that are all but zero into
# steps of the size of the rate, and at this one 1e-6 is a thousandth of the way that was gone.
RATE = 1e-4
FLOOR = 1e-6  # of parameters after those steps, in float32


def start_training(argv: list[str], count: int, **more: str) -> list[Forked]:
    environments = [{"XLA_FLAGS": xla_flags.QUICK, **one, **more} for one in variables(count)]
    return [start([*argv, "--distributed"], **environment) for environment in environments]


def said_until(process: Forked, pattern: str) -> None:
    assert any(re.match(pattern, line) for line in process.stderr), f"never said {pattern!r}"


def argv_of(workdir: Path, recipe: Path, corpus: Path, *options: str) -> list[str]:
    phases = '[{"seq_len": 16, "batch_size": 16, "fraction": 1.0}]'  # each is compiled
    steps = (f"train.steps={STEPS}", f"optim.learning_rate={RATE}")
    return pretrain_argv(workdir, recipe, corpus, f"data.phases={phases}", *steps, *options)


@pytest.fixture(scope="module")
def by_one(tmp_path_factory, recipe, corpus) -> Path:
    """The same run by one process with two devices."""
    workdir = tmp_path_factory.mktemp("by_one") / "run"
    finish(start(argv_of(workdir, recipe, corpus), devices=2))
    return workdir


@pytest.fixture(scope="module")
def by_two(tmp_path_factory, recipe, corpus) -> Path:
    """The same run by two processes with a device each."""
    workdir = tmp_path_factory.mktemp("by_two") / "run"
    finish_all(start_training(argv_of(workdir, recipe, corpus), 2), 0)
    return workdir


def assert_same_run(workdir: Path, by_one: Path) -> None:
    ours, theirs = state(workdir, STEPS), state(by_one, STEPS)
    assert ours.keys() == theirs.keys()
    for name in ours:
        if name.startswith("params/"):
            np.testing.assert_allclose(ours[name], theirs[name], rtol=0, atol=FLOOR, err_msg=name)
    rows, expected = (
        [row for row in metrics(path) if row["kind"] != "state"] for path in (workdir, by_one)
    )
    assert [(r["kind"], r["step"]) for r in rows] == [(r["kind"], r["step"]) for r in expected]
    for loss in ("masked_lm_loss", "next_sentence_loss"):
        np.testing.assert_allclose(
            [r[loss] for r in rows], [r[loss] for r in expected], rtol=1e-6, err_msg=loss
        )


@pytest.mark.slow
def test_two_processes_are_bit_for_bit_one_with_two_devices(by_two, by_one):
    tiny_run.assert_same_bits(state(by_two), state(by_one))
    assert metrics(by_two) == metrics(by_one)


# Each process restores a run whole and reads its rows of two batches.
WORK = """
import numpy as np
from jax.experimental import multihost_utils
from bertjax import sharding
from bertjax.checkpoint import CheckpointStore
from bertjax.config import MeshConfig
from bertjax.data.loader import load_batches
from bertjax.pretrained import run_config
from bertjax.train.data import open_data
from bertjax.train.devices import make_mesh
from bertjax.train.state import abstract_state, checkpoint_items
from bertjax.tree import flatten
run, out = Path(os.environ["RUN"]), Path(os.environ["OUT"])
mesh = sharding.make_mesh(MeshConfig(fsdp=2))
wanted = checkpoint_items(abstract_state(run_config(run), mesh))
found = CheckpointStore(run / "checkpoints", keep=1).restore(wanted)
whole = {
    name: multihost_utils.process_allgather(leaf, tiled=True)
    for name, leaf in flatten(found.items).items()
}
np.savez(out / f"restored-{me}.npz", **whole)
cfg, data = open_data(run_config(run))
rows = sharding.process_rows(make_mesh(cfg), 16, cfg.train.accumulate)
with load_batches(data.training(cfg, 0), 3, 5, 0, 1, rows) as stream:
    for step, batch in enumerate(stream, start=3):
        np.savez(out / f"{step}-{rows[0]}.npz", **batch)
"""


def assert_restored_and_read(workdir: Path, out: Path, count: int) -> None:
    """By so many processes: all bits by each of them, and each batch by all of them together."""
    out.mkdir()
    finish_all(start_work(WORK, variables(count), RUN=str(workdir), OUT=str(out)), 0)
    for index in range(count):
        restored = dict(np.load(out / f"restored-{index}.npz"))
        tiny_run.assert_same_bits(restored, state(workdir))
    cfg, data = open_data(run_config(workdir))
    whole, starts = data.training(cfg, 0), range(0, 16, 16 // count)
    assert {path.name for path in out.glob("?-*")} == {
        f"{step}-{start}.npz" for step in (3, 4) for start in starts
    }
    for step in (3, 4):
        shares = [np.load(out / f"{step}-{start}.npz") for start in starts]
        for name, expected in whole.batch(step).items():
            parts = [share[name] for share in shares]
            assert all(len(part) == 16 // count for part in parts)
            assert np.concatenate(parts).tobytes() == expected.tobytes(), name


@pytest.mark.slow
def test_what_two_have_saved_four_restore_and_their_rows_make_its_batches(by_two, tmp_path):
    assert_restored_and_read(by_two, tmp_path / "four", 4)


# Hosts of a TPU slice have chips on several lines of its torus, along which the mesh goes.
ALTERNATING = """
import jax
import numpy as np
from bertjax import sharding
devices = sorted(jax.devices(), key=lambda d: (d.id % 4 // 2, d.process_index, d.id))
assert [d.process_index for d in devices] == [0, 0, 1, 1, 0, 0, 1, 1]
for shape in ((8, 1, 1), (2, 4, 1), (4, 1, 2)):
    mesh = jax.sharding.Mesh(np.array(devices).reshape(shape), sharding.AXES)
    rows, whole = sharding.process_rows(mesh, 16), np.arange(16)[:, None]
    found = sharding.to_devices(mesh, {"tokens": whole[rows]}, 16)["tokens"]
    for shard in found.addressable_shards:
        np.testing.assert_array_equal(shard.data, whole[shard.index])
"""


def test_each_process_feeds_the_rows_of_its_devices_wherever_the_mesh_has_them():
    finish_all(start_work(ALTERNATING, variables(2), XLA_FLAGS=xla_flags.devices(4)), 0)


@pytest.mark.slow
def test_two_begin_with_other_weights_as_one_does(by_two, by_one, tmp_path, recipe, corpus):
    """Also where both ended before their first checkpoint."""
    argv = argv_of(tmp_path / "two", recipe, corpus, "--init", str(by_two), "train.steps=2")
    finish_all(start_training(argv, 2), 0)
    argv = argv_of(tmp_path / "one", recipe, corpus, "--init", str(by_two), "train.steps=2")
    finish(start(argv, devices=2))
    assert metrics(tmp_path / "two") == metrics(tmp_path / "one")
    tiny_run.assert_same_bits(state(tmp_path / "two"), state(tmp_path / "one"))
    for name in ("checkpoints", "best"):
        shutil.rmtree(tmp_path / "two" / name)
    argv = argv_of(tmp_path / "two", recipe, corpus, "--init", str(by_two), "train.steps=2")
    finish_all(start_training(argv, 2), 0)


@pytest.mark.slow
def test_four_stopped_by_a_signal_to_one_are_the_same_run_gone_on_with_by_two(
    tmp_path, recipe, corpus, by_one
):
    workdir = tmp_path / "run"
    argv = argv_of(workdir, recipe, corpus)
    four = start_training(argv, 4)
    said_until(four[0], "eval   step 6 ")
    four[1].send_signal(signal.SIGTERM)
    finish_all(four, EXIT_PREEMPTED)
    saved = newest_step(workdir / "checkpoints")
    assert 6 < saved < STEPS
    assert_restored_and_read(workdir, tmp_path / "two", 2)
    said = finish_all(start_training(argv, 2), 0)
    assert f"resuming after step {saved}\n" in said[0] and "2 data" in said[0]
    assert_same_run(workdir, by_one)


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
    argv = argv_of(workdir, recipe, corpus, "train.steps=100000")
    processes = start_training(argv, 2, BERTJAX_LOST_SECONDS="5")
    said_until(processes[0], "eval   step 12 ")
    while (newest_step(workdir / "checkpoints") or 0) < 10:  # it is written while training goes on
        time.sleep(0.05)
    processes[1].kill()
    said, _ = finish_all(processes, EXIT_LOST_PROCESS, -signal.SIGKILL)
    assert f"bertjax: process 1 ({HOST}) died: no sign of life for 5 s: the same command" in said
    assert "Traceback" not in said
    assert newest_step(workdir / "checkpoints") >= 10
