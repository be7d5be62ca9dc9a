"""Three checkpoints, made once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tiny_state import make_state

from bertjax.checkpoint import CheckpointStore


@pytest.fixture(scope="session")
def states() -> dict[int, dict]:
    return {step: make_state(step) for step in (10, 20, 30)}


@pytest.fixture(scope="session")
def saved(states, tmp_path_factory) -> Path:
    """Steps 10, 20 and 30; copied by the tests that damage it."""
    directory = tmp_path_factory.mktemp("saved") / "checkpoints"
    store = CheckpointStore(directory, keep=3)
    for step, items in states.items():
        store.save(step, items, {"step": step, "note": "é"})
    store.wait()
    return directory


@pytest.fixture
def copied(saved, tmp_path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "checkpoints"))
