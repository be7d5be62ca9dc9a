"""A recipe of two phases and an unbroken run of it, once a session."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny_run


@pytest.fixture(scope="session")
def recipe(two_phases) -> Path:
    return two_phases


@pytest.fixture(scope="session")
def unbroken(once, recipe, corpus) -> Path:
    """A run of 24 steps by one process on one device, with all its checkpoints."""

    def make(workdir: Path) -> None:
        tiny_run.finish(tiny_run.start(tiny_run.pretrain_argv(workdir, recipe, corpus)))

    return once("unbroken", make)
