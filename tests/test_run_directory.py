"""The run directory: one run at a time, only in a directory of ours, nothing private in it."""

from __future__ import annotations

import errno
import json
import os
import shlex
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import jax
import pytest

from bertjax.config import FinetuneConfig, PretrainConfig
from bertjax.durable import staged
from bertjax.errors import UserError
from bertjax.overrides import from_json, to_json
from bertjax.runs.directory import RunDirectory, open_run
from bertjax.runs.environment import describe_environment
from bertjax.runs.kinds import Kind
from bertjax.version import __version__

ROOT = Path(__file__).resolve().parents[1]

KIND = Kind.PRETRAINING


def test_layout_and_description(tmp_path):
    config = PretrainConfig(seed=7)
    argv = ["bertjax", "pretrain", "data.corpus=my data", "--config", "c.py"]
    with open_run(tmp_path / "runs" / "x", KIND) as run:
        run.describe(to_json(config), argv)
    # The stores of checkpoints make their own directories.
    names = sorted(p.name for p in run.path.iterdir())
    assert names == ["command.txt", "config.json", "environment.json", "lock", "tokenizer"]
    assert from_json(PretrainConfig, run.config.read_text()) == config
    assert shlex.split(run.command.read_text()) == argv
    assert run.metrics.parent == run.path


def test_reopening_keeps_everything_and_adds_a_command(tmp_path):
    with open_run(tmp_path, KIND) as run:
        run.describe(to_json(PretrainConfig()), ["first"])
        (run.checkpoints / "30").mkdir(parents=True)
    with open_run(tmp_path, KIND) as run:
        run.describe(to_json(PretrainConfig(seed=1)), ["second"])
    assert run.command.read_text() == "first\nsecond\n"
    assert json.loads(run.config.read_text())["seed"] == 1
    assert (run.checkpoints / "30").is_dir()


def test_a_second_run_is_refused_and_told_who_holds_the_lock(tmp_path):
    with open_run(tmp_path, KIND):
        with pytest.raises(UserError) as caught, open_run(tmp_path, KIND):
            pass
        assert f"pid {os.getpid()} on {socket.gethostname()}" in str(caught.value)
        assert "\n" not in str(caught.value)
    with open_run(tmp_path, KIND):
        pass


HOLD = """
import sys
from bertjax.runs.directory import open_run
from bertjax.runs.kinds import Kind
with open_run(sys.argv[1], Kind.PRETRAINING):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_killed_run_lets_go_of_the_lock(tmp_path):
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
    ) as process:
        process.stdout.readline()
        with pytest.raises(UserError, match=f"pid {process.pid} "), open_run(tmp_path, KIND):
            pass
        process.kill()
        process.wait()
    with open_run(tmp_path, KIND):
        pass


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_said_and_used(tmp_path, monkeypatch, code):
    def flock(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("fcntl.flock", flock)
    said = []
    with open_run(tmp_path / "run", KIND, said.append) as run:
        assert run.lock.exists()
    assert len(said) == 1 and "has no locks" in said[0]
    with staged(tmp_path / "out", said.append) as stage:
        (stage / "file").write_text("")
    assert (tmp_path / "out" / "file").exists() and "has no locks" in said[1]


def test_a_run_of_the_other_kind_is_refused_by_name(tmp_path):
    with open_run(tmp_path, Kind.FINETUNING) as run:
        run.describe(to_json(FinetuneConfig()), [])
    says = "is a run of `bertjax finetune`, not"
    with pytest.raises(UserError, match=says), open_run(tmp_path, KIND):
        pass


@pytest.mark.parametrize("name", ["config.json", "thesis.tex", ".git"])
def test_a_directory_of_something_else_is_left_alone(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with (
        pytest.raises(UserError, match="choose a new or empty directory"),
        open_run(tmp_path, KIND),
    ):
        pass
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_a_file_in_the_way_is_a_user_error(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(UserError, match="cannot be written"), open_run(path, KIND):
            pass


def test_a_read_only_directory_is_a_user_error():
    directory = Path(tempfile.mkdtemp())  # reachable by the unprivileged user below
    directory.chmod(0o555)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)  # root may write anywhere
    try:
        for path in (directory, directory / "run"):
            with pytest.raises(UserError, match="Permission denied"), open_run(path, KIND):
                pass
    finally:
        if root:
            os.seteuid(0)
        directory.chmod(0o755)
    assert list(directory.iterdir()) == []
    directory.rmdir()


def test_the_environment_tells_versions_and_devices_and_nothing_private(monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "planted-secret")
    monkeypatch.setenv("HOME", "/home/planted-user")
    environment = describe_environment()
    text = json.dumps(environment)
    assert environment["bertjax"] == __version__
    assert environment["packages"]["jax"] == jax.__version__
    assert sum(environment["devices"].values()) == jax.device_count()
    for private in ("planted", socket.gethostname(), str(ROOT), sys.prefix):
        assert private not in text


def test_naming_a_run_touches_nothing(tmp_path):
    assert RunDirectory(tmp_path / "x").best == tmp_path / "x" / "best"
    assert list(tmp_path.iterdir()) == []
