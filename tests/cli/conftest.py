"""A recipe, a corpus and a trained run, once a session."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import tiny_run

from bertjax.cli.main import main


@pytest.fixture(scope="session")
def recipe(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "tiny.py"
    path.write_text(tiny_run.RECIPE)
    return path


@pytest.fixture(scope="session")
def text(tmp_path_factory) -> Path:
    return tiny_run.write_text(tmp_path_factory.mktemp("text") / "text.txt")


@pytest.fixture(scope="session")
def corpus(tmp_path_factory, text) -> Path:
    return tiny_run.prepare(text, tmp_path_factory.mktemp("corpus") / "corpus")


@pytest.fixture(scope="session")
def trained(tmp_path_factory, recipe, corpus) -> Path:
    """A finished run; tests that write into a run take `trained_copy`."""
    workdir = tmp_path_factory.mktemp("trained") / "run"
    assert main(tiny_run.pretrain_argv(workdir, recipe, corpus)) == 0
    return workdir


@pytest.fixture
def trained_copy(tmp_path, trained) -> Path:
    return shutil.copytree(trained, tmp_path / "trained_copy")
