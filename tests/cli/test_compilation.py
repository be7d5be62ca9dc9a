"""Compiled programs are kept for later commands, where, how much of them, and when not."""

from __future__ import annotations

import os
import subprocess
import sys
import zlib
from pathlib import Path

import jax
import pytest

from bertjax.cli import compilation
from bertjax.cli.compilation import keep_compiled, tidy
from bertjax.runs.compiled import kept_programs

FOLDER, ENABLED = "JAX_COMPILATION_CACHE_DIR", "JAX_ENABLE_COMPILATION_CACHE"
HOUR = 3600


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """A home directory, and an environment that says nothing about caches."""
    for name in (FOLDER, ENABLED, "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, "")  # so that what the test sets is taken back
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def entry(folder: Path, name: str, age: float, data: bytes = b"program" * 100) -> Path:
    path = folder / f"{name}-cache"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    then = path.stat().st_mtime - age
    os.utime(path, (then, then))
    return path


def test_they_are_kept_in_the_users_cache_folder(home, monkeypatch):
    keep_compiled()
    assert os.environ[FOLDER] == str(home / ".cache" / "bertjax" / "xla")
    assert Path(os.environ[FOLDER]).stat().st_mode & 0o077 == 0  # JAX runs what lies there
    for named, folder in ((str(home / "other"), home / "other"), ("relative", home / ".cache")):
        monkeypatch.delenv(FOLDER)
        monkeypatch.setenv("XDG_CACHE_HOME", named)  # the specification wants absolute paths
        keep_compiled()
        assert os.environ[FOLDER] == str(folder / "bertjax" / "xla")


@pytest.mark.parametrize("named", ["/elsewhere", ""])
def test_the_environment_decides(home, monkeypatch, named):
    monkeypatch.setenv(FOLDER, named)
    keep_compiled()
    assert os.environ[FOLDER] == named
    assert not (home / ".cache").exists()


def test_a_folder_that_cannot_be_is_one_line(home, capsys, monkeypatch):
    (home / ".cache").write_text("not a directory")
    keep_compiled()
    monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    keep_compiled()
    assert FOLDER not in os.environ
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("note   nothing that is compiled is kept: ") and ".cache" in first
    assert "no home" in second and f"{FOLDER}=FOLDER" in second


def test_the_folder_is_bounded_and_the_longest_unused_go_first(tmp_path):
    size = len(zlib.compress(b"program" * 100))
    ages = {"a": 5, "b": 3, "c": 9, "d": 1}
    for name, age in ages.items():
        entry(tmp_path, name, age * HOUR, zlib.compress(b"program" * 100))
    tuned = tmp_path / "xla_gpu_per_fusion_autotune_cache_dir" / "e"
    entry(tuned.parent, "e", 7 * HOUR, b"x" * size).rename(tuned)
    tidy(tmp_path, 5 * size)
    assert len(list(tmp_path.rglob("*-cache"))) == 4 and tuned.exists()
    tidy(tmp_path, 2 * size + 1)
    assert sorted(path.name for path in tmp_path.rglob("*-cache")) == ["b-cache", "d-cache"]
    assert not tuned.exists()


def test_half_written_entries_go_and_whole_ones_are_read_once(tmp_path, monkeypatch):
    whole = zlib.compress(os.urandom(1000))
    paths = [
        entry(tmp_path, "whole", HOUR, whole),
        entry(tmp_path, "zstandard", HOUR, b"\x28\xb5\x2f\xfd and so on"),
        entry(tmp_path, "being-written", 1, whole[:500]),
    ]
    entry(tmp_path, "torn", HOUR, whole[:500])
    entry(tmp_path, "empty", HOUR, b"")
    tidy(tmp_path, compilation.LIMIT)
    assert sorted(tmp_path.glob("*-cache")) == sorted(paths)
    read = []
    monkeypatch.setattr(compilation, "_is_whole", lambda path: read.append(path) or True)
    tidy(tmp_path, compilation.LIMIT)
    assert not read


PROGRAM = """
import sys
from bertjax.cli.compilation import keep_compiled
keep_compiled()
import jax
import jax.numpy as jnp
print(jax.jit(lambda x: jnp.sort(jnp.sin(x) @ x))(jnp.ones((8, 8))).sum())
"""


def start(home: Path, *prefix: str, **more: str) -> subprocess.Popen[str]:
    """A process that compiles, as a user with that home has it."""
    kept = {k: v for k, v in os.environ.items() if k not in (FOLDER, ENABLED, "XDG_CACHE_HOME")}
    told = {"HOME": str(home), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    told["PYTHONPATH"] = str(Path(compilation.__file__).parents[2])
    return subprocess.Popen(
        [*prefix, sys.executable, "-c", PROGRAM],
        env=kept | told | more,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def finish(process: subprocess.Popen[str]) -> tuple[str, str]:
    """The result of its program, and what else was said."""
    result, said = process.communicate(timeout=200)
    assert process.returncode == 0, said
    return result, said


def entries(home: Path) -> dict[Path, int]:
    """What is kept, and when it was written."""
    folder = home / ".cache" / "bertjax" / "xla"
    return {path: path.stat().st_mtime_ns for path in folder.glob("*-cache")}


@pytest.mark.slow
def test_the_next_process_finds_them_and_damage_ends_nothing(tmp_path):
    result, said = finish(start(tmp_path))
    first = entries(tmp_path)
    assert first and not said
    assert finish(start(tmp_path)) == (result, "")
    assert entries(tmp_path) == first
    for path in first:
        path.write_bytes(path.read_bytes()[:-20])
    again, said = finish(start(tmp_path))  # JAX warns, compiles, and does not mend them
    assert again == result and "Error reading persistent compilation cache" in said
    for path in first:
        os.utime(path, (path.stat().st_atime, path.stat().st_mtime - HOUR))
    assert finish(start(tmp_path)) == (result, "")
    assert all(zlib.decompress(path.read_bytes()) for path in first)


@pytest.mark.slow
def test_processes_that_start_at_once_share_a_folder(tmp_path):
    results = [finish(process) for process in [start(tmp_path) for _ in range(4)]]
    assert len({result for result, _ in results}) == 1
    written = entries(tmp_path)
    assert all(zlib.decompress(path.read_bytes()) for path in written)
    assert finish(start(tmp_path)) == (results[0][0], "") and entries(tmp_path) == written


@pytest.mark.slow
def test_a_full_disk_is_one_line(tmp_path):
    result, _ = finish(start(tmp_path / "other"))
    again, said = finish(start(tmp_path, "prlimit", "--fsize=100000"))
    assert again == result and not entries(tmp_path)
    assert len(said.splitlines()) == 1 and "File too large" in said


def test_the_environment_turns_it_off(tmp_path):
    finish(start(tmp_path, **{ENABLED: "false"}))
    assert not entries(tmp_path)


def test_a_run_says_where():
    assert kept_programs().startswith(f"cache  {jax.config.jax_compilation_cache_dir} keeps")
    jax.config.update("jax_enable_compilation_cache", False)
    try:
        assert kept_programs() == "cache  none: every command compiles anew"
    finally:
        jax.config.update("jax_enable_compilation_cache", True)
