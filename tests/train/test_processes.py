"""Several processes are one run: the same batches, losses and parameters, and one end for all."""

from __future__ import annotations

import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_run
from tiny_run import finish, metrics, newest_step, pretrain_argv, start, state

from bertjax import cluster
from bertjax.cluster import EXIT_LOST_PROCESS
from bertjax.config import PretrainConfig
from bertjax.errors import EXIT_BAD_INPUT, EXIT_PREEMPTED, UserError
from bertjax.overrides import load_config
from bertjax.train import setup

# They wait for one another with limits of seconds, some of them not ours to set.
pytestmark = pytest.mark.alone

HOST = socket.gethostname()
STEPS = 20
# The rate of the published recipe: Adam turns the rounding of gradients that are all but zero into
# steps of the size of the rate, and at this one 1e-6 is a thousandth of the way that was gone.
RATE = 1e-4
FLOOR = 1e-6  # of parameters after those steps, in float32

# A process of a cluster that does what the test says, instead of `bertjax VERB`.
PROGRAM = """
import os, signal, sys, threading, time
from pathlib import Path
import jax
from bertjax import cluster
from bertjax.errors import UserError
with cluster.joined():
    me = jax._src.distributed.global_state.process_id
    exec(os.environ["WORK"])
"""


def variables(count: int) -> list[dict[str, str]]:
    """What each of `count` processes on this machine must be told."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    shared = {"JAX_COORDINATOR_ADDRESS": f"localhost:{port}", "JAX_NUM_PROCESSES": str(count)}
    return [shared | {"JAX_PROCESS_ID": str(index)} for index in range(count)]


def start_work(work: str, told: list[dict[str, str]], **more: str) -> list[subprocess.Popen[str]]:
    """One process for each of `told`, with one device, that joins the others and does `work`."""
    here = {"PYTHONPATH": str(Path(cluster.__file__).parents[1]), "XLA_FLAGS": "", "WORK": work}
    return [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **here, **one, **more},
        )
        for one in told
    ]


def start_training(argv: list[str], count: int, **more: str) -> list[subprocess.Popen[str]]:
    return [start([*argv, "--distributed"], **one, **more) for one in variables(count)]


def finish_all(processes: list[subprocess.Popen[str]], *expected: int) -> list[str]:
    """Wait for each to leave with its code, or all with the one; returns what each said."""
    codes = expected if len(expected) > 1 else expected * len(processes)
    said = [process.communicate(timeout=200)[1] for process in processes]
    assert [process.returncode for process in processes] == list(codes), said
    return said


def said_until(process: subprocess.Popen[str], pattern: str) -> None:
    assert any(re.match(pattern, line) for line in process.stderr), f"never said {pattern!r}"


# Meeting.


def test_with_one_process_every_meeting_is_free():
    cluster.barrier("alone")
    assert cluster.gather("alone", "value") == ["value"]
    cluster.require_agreement({"field": "value"})


def test_gathered_values_come_in_order_and_each_meeting_has_its_own():
    work = """
turns = [cluster.gather("turn", f"{turn} of {me}") for turn in range(3)]
assert turns == [[f"{turn} of {i}" for i in range(3)] for turn in range(3)], turns
other = threading.Thread(target=cluster.barrier, args=("thread",))
other.start(); cluster.barrier("main"); other.join()
"""
    assert finish_all(start_work(work, variables(3)), 0) == [""] * 3


@pytest.mark.slow
def test_who_never_comes_to_a_barrier_is_named_to_all():
    work = "time.sleep(60) if me == 1 else cluster.barrier('meal')"
    said = finish_all(
        start_work(work, variables(3), BERTJAX_BARRIER_SECONDS="8"), EXIT_LOST_PROCESS
    )
    line = f"barrier 'meal': process 1 ({HOST}) did not come within 8 s: look at what it does, or"
    assert [text.count("\n") for text in said] == [1] * 3, said
    assert said[0].startswith(f"bertjax: {line}") and said[2].startswith(f"bertjax: {line}")
    assert re.match(rf"bertjax: process [02] \({HOST}\) stopped: {re.escape(line)}", said[1])


@pytest.mark.slow
def test_who_never_joins_leaves_the_others_with_one_line():
    told = variables(3)[:2]
    said = finish_all(start_work("", told, BERTJAX_BARRIER_SECONDS="6"), EXIT_LOST_PROCESS)
    for index, text in enumerate(said):
        assert text.startswith(f"bertjax: process {index} ({HOST}) waited 6 s"), text
        assert told[0]["JAX_COORDINATOR_ADDRESS"] in text and text.count("\n") == 1


def test_a_mistake_in_one_process_ends_all_with_its_line_and_code():
    work = "if me == 1: raise UserError('the tea is cold: boil it')\ntime.sleep(60)"
    said = finish_all(start_work(work, variables(3)), EXIT_BAD_INPUT)
    others = f"bertjax: process 1 ({HOST}) stopped: the tea is cold: boil it\n"
    assert said == [others, "bertjax: the tea is cold: boil it\n", others]


def test_a_bug_in_one_process_keeps_its_traceback_and_ends_all():
    work = "if me == 0: 1 / 0\ntime.sleep(60)"
    said = finish_all(start_work(work, variables(2)), 1)
    assert "Traceback" in said[0] and "ZeroDivisionError" in said[0]
    assert said[1] == f"bertjax: process 0 ({HOST}) stopped: ZeroDivisionError: division by zero\n"


@pytest.mark.parametrize("differs", ["seed", "only here"])
def test_processes_that_do_not_agree_are_refused_with_both_values(differs):
    work = f"""
facts = {{"bertjax": "0.1", "seed": "1"}}
cluster.require_agreement(facts)
if me == 1: facts["{differs}"] = "2"
cluster.require_agreement(facts)
"""
    said = finish_all(start_work(work, variables(2)), EXIT_BAD_INPUT)
    first = "1" if differs == "seed" else "absent"
    line = f"{differs} is {first} in process 0 ({HOST}) and 2 in process 1 ({HOST}): start every"
    assert all(text.startswith(f"bertjax: {line}") and text.count("\n") == 1 for text in said)


@pytest.mark.parametrize("text", ["0", "-1", "ten", "1.5"])
def test_limits_are_whole_seconds(monkeypatch, text):
    monkeypatch.setenv("BERTJAX_BARRIER_SECONDS", text)
    monkeypatch.setenv("JAX_COORDINATOR_ADDRESS", "localhost:1")
    monkeypatch.setenv("JAX_NUM_PROCESSES", "2")
    monkeypatch.setenv("JAX_PROCESS_ID", "0")
    says = f"BERTJAX_BARRIER_SECONDS={text}: give whole seconds"
    with pytest.raises(UserError, match=says), cluster.joined():
        raise AssertionError("joined")


def slurm(index: int, job: int) -> dict[str, str]:
    names = ("JOB_ID", "STEP_NODELIST", "NTASKS", "PROCID", "LOCALID", "STEP_NUM_NODES")
    values = (job, "localhost", 2, index, index, 1)
    return {f"SLURM_{name}": str(value) for name, value in zip(names, values, strict=True)}


def open_mpi(index: int, job: int) -> dict[str, str]:
    world = {"SIZE": 2, "RANK": index, "LOCAL_RANK": index}
    uri = {"OMPI_MCA_orte_hnp_uri": f"{job << 12}.0;tcp://127.0.0.1:1"}
    return uri | {f"OMPI_COMM_WORLD_{name}": str(value) for name, value in world.items()}


@pytest.mark.parametrize("scheduler", [slurm, open_mpi])
def test_the_cluster_is_found_from_the_scheduler(scheduler):
    job = random.randrange(1, 4096)  # the coordinator's port follows from it
    work = "assert cluster.gather('me', str(me)) == ['0', '1']"
    finish_all(start_work(work, [scheduler(index, job) for index in range(2)]), 0)


# Dying.


@pytest.mark.slow
@pytest.mark.parametrize(
    "busy",
    [
        "time.sleep(100)",
        "cluster.barrier('meal')",
        "while True: multihost_utils.process_allgather(np.int32(me))",
    ],
    ids=["computing", "at a barrier", "in a collective"],
)
def test_a_killed_process_is_named_to_all_and_ends_them(busy):
    """The survivors' time is the silence that is allowed and a little."""
    work = f"""
import numpy as np
from jax.experimental import multihost_utils
cluster.barrier('ready')
if me == 2: os.kill(os.getpid(), signal.SIGKILL)
{busy}
"""
    codes = (EXIT_LOST_PROCESS, EXIT_LOST_PROCESS, -signal.SIGKILL)
    said = finish_all(start_work(work, variables(3), BERTJAX_LOST_SECONDS="4"), *codes)
    line = f"bertjax: process 2 ({HOST}) died: no sign of life for 4 s\n"
    assert said == [line, line, ""]


@pytest.mark.slow
def test_a_process_that_hangs_is_as_good_as_dead():
    work = "if me == 1: os.kill(os.getpid(), signal.SIGSTOP)\ntime.sleep(100)"
    first, second = start_work(work, variables(2), BERTJAX_LOST_SECONDS="4")
    assert "process 1" in finish(first, EXIT_LOST_PROCESS)
    second.kill()
    second.communicate()


@pytest.mark.slow
def test_the_first_process_that_hangs_is_named_by_the_others():
    # Once all have come to a barrier they know each other's hosts.
    work = "cluster.barrier('ready')\nif me == 0: os.kill(os.getpid(), signal.SIGSTOP)\n"
    work += "time.sleep(100)"
    first, second = start_work(work, variables(2), BERTJAX_LOST_SECONDS="4")
    said = finish(second, EXIT_LOST_PROCESS)
    assert said == f"bertjax: process 0 ({HOST}) died: no answer for 4 s\n"
    first.kill()
    first.communicate()


@pytest.mark.slow
def test_the_first_process_killed_ends_the_others():
    """JAX's own abort may come before our line: the coordination service has died with it."""
    work = "if me == 0: os.kill(os.getpid(), signal.SIGKILL)\ntime.sleep(100)"
    first, second = start_work(work, variables(2))
    _, said = second.communicate(timeout=30)
    first.communicate()
    assert second.returncode in (EXIT_LOST_PROCESS, -signal.SIGABRT)
    assert f"process 0 ({HOST}) died" in said or "leader task was preempted/died" in said


# Training.


def test_processes_read_disjoint_rows_that_make_the_same_batch(tmp_path, recipe, corpus):
    work = """
import dataclasses
import numpy as np
from bertjax import sharding
from bertjax.config import PretrainConfig
from bertjax.data.loader import load_batches
from bertjax.overrides import load_config
from bertjax.train import setup
cfg = load_config(Path(os.environ["RECIPE"]), PretrainConfig)
cfg = dataclasses.replace(cfg, data=dataclasses.replace(cfg.data, corpus=os.environ["CORPUS"]))
cfg, data = setup.open_data(cfg)
rows = sharding.process_rows(setup.make_mesh(cfg), 16, cfg.train.accumulate)
with load_batches(data.training(cfg, 0), 3, 5, 0, 1, rows) as stream:
    for step, batch in enumerate(stream, start=3):
        np.savez(Path(os.environ["OUT"], f"{step}-{rows.start}.npz"), **batch)
"""
    cfg = load_config(recipe, PretrainConfig)
    cfg = replace(cfg, data=replace(cfg.data, corpus=str(corpus)))
    cfg, data = setup.open_data(cfg)
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
    phases = '[{"seq_len": 16, "batch_size": 16, "fraction": 1.0}]'  # one, as each is compiled
    short = (f"train.steps={STEPS}", f"optim.learning_rate={RATE}", f"data.phases={phases}")
    return pretrain_argv(workdir, recipe, corpus, *short)


@pytest.fixture(scope="module")
def alone(tmp_path_factory, recipe, corpus) -> Path:
    """The run of one process on one device."""
    workdir = tmp_path_factory.mktemp("alone") / "run"
    finish(start(argv_of(workdir, recipe, corpus)))
    return workdir


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
    two, one = tmp_path / "two", tmp_path / "one"
    finish_all(start_training(argv_of(two, recipe, corpus), 2), 0)
    finish(start(argv_of(one, recipe, corpus), devices=2))
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
from bertjax.train import setup
from bertjax.train.initial import run_config
run = Path(os.environ["RUN"])
mesh = sharding.make_mesh(MeshConfig(fsdp=2))
wanted = setup.abstract_items(run_config(run), mesh)
found = CheckpointStore(run / "checkpoints", keep=1).restore(wanted)
leaves = jax.tree_util.tree_leaves_with_path(found.items)
whole = {
    sharding.path_name(path): multihost_utils.process_allgather(leaf, tiled=True)
    for path, leaf in leaves
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
    assert said.endswith(f"bertjax: process 1 ({HOST}) died: no sign of life for 5 s\n")
    assert "Traceback" not in said
    assert newest_step(workdir / "checkpoints") >= 10
