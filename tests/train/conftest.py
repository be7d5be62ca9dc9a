"""A recipe, a corpus and an unbroken run of it, once a session."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny_run


@pytest.fixture(scope="session")
def recipe(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "tiny.py"
    path.write_text(tiny_run.RECIPE)
    return path


@pytest.fixture(scope="session")
def corpus(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("corpus")
    return tiny_run.prepare(tiny_run.write_text(directory / "text.txt"), directory / "corpus")


@pytest.fixture(scope="session")
def unbroken(tmp_path_factory, recipe, corpus) -> Path:
    """A run of 24 steps by one process on one device, with all its checkpoints."""
    workdir = tmp_path_factory.mktemp("unbroken") / "run"
    tiny_run.finish(tiny_run.start(tiny_run.pretrain_argv(workdir, recipe, corpus)))
    return workdir
