"""A run that is stopped, however, ends as the unbroken run does."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import tiny_run
from forked import Forked
from tiny_run import STEPS, finish, metrics, newest_step, pretrain_argv, start, state

from bertjax.cli.main import main
from bertjax.config import MeshConfig
from bertjax.errors import (
    EXIT_DAMAGED,
    EXIT_INTERRUPTED,
    EXIT_NON_FINITE,
    EXIT_PREEMPTED,
    EXIT_REQUESTED,
)


def assert_equals_unbroken(workdir: Path, unbroken: Path) -> None:
    tiny_run.assert_same_bits(state(workdir), state(unbroken))
    assert metrics(workdir) == metrics(unbroken)
    for store in ("checkpoints", "best"):
        assert newest_step(workdir / store) == newest_step(unbroken / store)


def said_until(process: Forked, pattern: str) -> str:
    """Read what a process says up to the first line that matches."""
    lines = []
    for line in process.stderr:
        lines.append(line)
        if re.match(pattern, line):
            return "".join(lines)
    raise AssertionError(f"{pattern!r} was never said: {''.join(lines)}")


def test_the_unbroken_run_logs_each_step_once_and_learns(unbroken):
    reports = metrics(unbroken, "train")
    assert [row["step"] for row in reports] == list(range(4, STEPS + 1, 4))
    assert reports[-1]["masked_lm_loss"] < reports[0]["masked_lm_loss"] - 1
    assert [row["step"] for row in metrics(unbroken, "evaluation")] == [6, 12, 18, 24]
    folders = {path.name for path in (unbroken / "checkpoints").iterdir()}
    assert folders == {"5", "10", "15", "20", "24"}
    assert newest_step(unbroken / "checkpoints") == STEPS


# Killed.


def kill_once(argv: list[str], moment: float) -> bool:
    """Start a life and end it `moment` seconds after it announced itself; False if it finished.

    A negative moment falls into its start, before it has opened anything.
    """
    with start(argv) as process:
        if moment < 0:
            time.sleep(-moment)
        else:
            said_until(process, "train ")
            drain = threading.Thread(target=process.stderr.read, daemon=True)
            drain.start()
            time.sleep(moment)
        os.kill(process.pid, signal.SIGKILL)
        code = process.wait()
        wait_for_orphans(process.pid)
        if moment >= 0:
            drain.join()
    assert code in (0, -signal.SIGKILL)
    return code != 0


def wait_for_orphans(session: int) -> None:
    """Every process that the killed one had started ends; one that began just now imports first."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            os.killpg(session, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    raise AssertionError("data workers outlived the training process")


@pytest.mark.slow
@pytest.mark.parametrize(("workers", "kills"), [(0, 6), (2, 2)])
def test_killed_at_random_instants(tmp_path, recipe, corpus, unbroken, workers, kills):
    draw = random.Random(f"{workers}")
    argv = pretrain_argv(
        tmp_path / "run", recipe, corpus, f"data.workers={workers}", "train.keep_checkpoints=2"
    )
    killed, had, moments, longest = 0, dict.fromkeys(("checkpoints", "best"), False), [], 4.0
    while killed < kills:
        # Most in the seconds in which a life compiles, trains, evaluates and saves.
        moments.append(draw.uniform(-3, 0) if killed == 2 else draw.uniform(0.0, longest))
        if not kill_once(argv, moments[-1]):
            if killed >= 2:
                break
            longest /= 2  # this machine is faster
            assert longest > 0.1, f"finished too soon: {moments}"
            shutil.rmtree(tmp_path / "run")
            killed, had = 0, dict.fromkeys(had, False)
            continue
        killed += 1
        for name in had:
            found = newest_step(tmp_path / "run" / name)
            assert found is not None or not had[name], f"{name} lost after {moments}"
            had[name] |= found is not None
    finish(start(argv))
    assert_equals_unbroken(tmp_path / "run", unbroken)
    assert len(list((tmp_path / "run" / "checkpoints").iterdir())) == 2


# Asked to stop.


@pytest.mark.slow
def test_each_signal_saves_where_it_is_and_nothing_is_lost(tmp_path, recipe, corpus, unbroken):
    workdir = tmp_path / "run"
    argv = pretrain_argv(workdir, recipe, corpus)
    before = 0
    for sent, code, moment in (
        (signal.SIGTERM, EXIT_PREEMPTED, "compiling"),
        (signal.SIGINT, EXIT_INTERRUPTED, "eval   step 6 "),
        (signal.SIGUSR1, EXIT_REQUESTED, "step 16/24 "),
    ):
        process = start(argv)
        said = said_until(process, moment)
        asked = time.monotonic()
        process.send_signal(sent)
        if sent == signal.SIGTERM:  # schedulers repeat themselves
            process.send_signal(sent)
        said += finish(process, code)
        assert time.monotonic() - asked < 30
        assert ("from the start" if before == 0 else f"resuming after step {before}\n") in said
        assert "before its first checkpoint" not in said
        before = newest_step(workdir / "checkpoints")
        assert f"{sent.name}: saved step {before}; the same command resumes\n" in said
        assert before < STEPS
    assert f"resuming after step {before}\n" in finish(start(argv))
    tiny_run.assert_same_bits(state(workdir), state(unbroken))
    assert metrics(workdir) == metrics(unbroken)


# Other devices.


@pytest.mark.mesh
@pytest.mark.slow
def test_other_meshes_restore_the_same_bits_and_go_on(tmp_path, recipe, corpus, unbroken, capfd):
    eight, split = MeshConfig(), MeshConfig(data=2, fsdp=2, tensor=2)
    for mesh in (eight, split):
        tiny_run.assert_same_bits(state(unbroken, 15, mesh), state(unbroken, 15))
    workdir = tiny_run.rewind(unbroken, tmp_path / "run", 15)
    axes = [f"train.mesh.{axis}=2" for axis in ("data", "fsdp", "tensor")]
    assert main(pretrain_argv(workdir, recipe, corpus, *axes)) == 0
    assert "2 data × 2 fsdp × 2 tensor" in capfd.readouterr().err
    assert_close_losses(workdir, unbroken)
    # And from eight devices back to one.
    single = tiny_run.rewind(workdir, tmp_path / "single", 20)
    tiny_run.assert_same_bits(state(single), state(workdir, 20, split))
    assert "resuming after step 20\n" in finish(start(pretrain_argv(single, recipe, corpus)))
    assert_close_losses(single, unbroken)


def assert_close_losses(workdir: Path, unbroken: Path) -> None:
    ours, theirs = (
        [row for row in metrics(path) if row["kind"] != "state"] for path in (workdir, unbroken)
    )
    assert [(r["kind"], r["step"]) for r in ours] == [(r["kind"], r["step"]) for r in theirs]
    for name in ("masked_lm_loss", "next_sentence_loss"):
        np.testing.assert_allclose(
            [r[name] for r in ours], [r[name] for r in theirs], atol=1e-4, rtol=0
        )


# Damaged.


@pytest.mark.slow
def test_a_flipped_bit_costs_one_checkpoint_and_is_named(tmp_path, recipe, corpus, unbroken, capfd):
    workdir = tiny_run.rewind(unbroken, tmp_path / "run", STEPS)
    damaged = tiny_run.largest_file(workdir / "checkpoints" / "24" / "params")
    tiny_run.flip_bit(damaged)
    assert main(pretrain_argv(workdir, recipe, corpus)) == 0
    said = capfd.readouterr().err
    name = damaged.relative_to(workdir / "checkpoints" / "24")
    assert f"passed over checkpoint 24: {name} has changed since it was written" in said
    assert "resuming after step 20\n" in said
    assert newest_step(workdir / "checkpoints") == STEPS
    assert (workdir / "checkpoints" / "24.rejected").is_dir()
    assert_close_losses(workdir, unbroken)


def test_nothing_is_resumed_where_every_checkpoint_is_damaged(
    tmp_path, recipe, corpus, unbroken, capfd
):
    workdir = tiny_run.rewind(unbroken, tmp_path / "run", 10)
    for step in ("5", "10"):
        tiny_run.flip_bit(tiny_run.largest_file(workdir / "checkpoints" / step))
    before = sorted(p.read_bytes() for p in workdir.rglob("*") if p.is_file())
    assert main(pretrain_argv(workdir, recipe, corpus)) == EXIT_DAMAGED
    said = capfd.readouterr().err
    assert said.startswith("bertjax: no checkpoint in ") and said.count("\n") == 1
    assert "5: " in said and "10: " in said
    after = sorted(p.read_bytes() for p in workdir.rglob("*") if p.is_file())
    assert len(after) == len(before)


@pytest.mark.slow
def test_steps_that_were_not_finite_are_saved_before_they_are_reported(tmp_path, recipe, corpus):
    """A checkpoint falls between two reports, and the steps since the first had no loss."""
    diverging = ("optim.learning_rate=100", "optim.weight_decay=10", "optim.schedule=constant")
    often = ("train.log_every=1000", "train.checkpoint_every=1", "train.max_bad_steps=3")
    argv = pretrain_argv(tmp_path / "run", recipe, corpus, *diverging, *often, "train.steps=100")
    said = finish(start(argv), EXIT_NON_FINITE)
    assert "for 3 steps in a row" in said
    assert "for 3 steps in a row" in finish(start(argv), EXIT_NON_FINITE)  # resumed beside them
