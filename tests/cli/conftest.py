"""A recipe, a trained run of it and its export, once a session; what a refusal is."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import tiny_run
from tiny_run import snapshot

from bertjax.cli.main import main
from bertjax.errors import EXIT_BAD_INPUT


@pytest.fixture(scope="session")
def recipe(once) -> Path:
    return once("tiny.py", lambda path: path.write_text(tiny_run.RECIPE))


@pytest.fixture(scope="session")
def trained(once, recipe, corpus) -> Path:
    """A finished run; tests that write into a run take `trained_copy`."""

    def make(workdir: Path) -> None:
        assert main(tiny_run.pretrain_argv(workdir, recipe, corpus)) == 0

    return once("trained", make)


@pytest.fixture
def trained_copy(tmp_path, trained) -> Path:
    return shutil.copytree(trained, tmp_path / "trained_copy")


@pytest.fixture(scope="session")
def exported(once, trained) -> Path:
    def make(out: Path) -> None:
        assert main(["export", str(trained), "--out", str(out)]) == 0

    return once("exported", make)


@pytest.fixture
def refuse(tmp_path, capfd) -> Callable[..., str]:
    """Run a command that must fail in one line and change no file in the test's directory.

    `prepare` may have said before that it was training a tokenizer.
    """

    def run(*argv: object, code: int = EXIT_BAD_INPUT) -> str:
        before = snapshot(tmp_path)
        capfd.readouterr()
        assert main([str(a) for a in argv]) == code
        said = capfd.readouterr().err
        line = said.removeprefix(said[: said.find("bertjax: ")])
        assert line.startswith("bertjax: ") and line.count("\n") == 1, said
        assert said in (line, f"{said.splitlines()[0]}\n{line}"), said
        assert said == line or said.startswith("training a "), said
        assert snapshot(tmp_path) == before
        return line

    return run
