"""The guide's command resumes what it began, and so does the run's own config."""

from __future__ import annotations

from pathlib import Path

import pytest
from documented import FEW_STEPS, GUIDES, SMALL_MODEL, SMALL_PHASE, commands, walk

from bertjax.cli.main import main

pytestmark = pytest.mark.slow


def test_what_the_guide_shows_runs(corpus, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    Path("data/mycorpus").symlink_to(corpus)
    few = {"pretrain": [*SMALL_MODEL, SMALL_PHASE, *FEW_STEPS]}
    walk(commands(GUIDES / "reproducing.md"), few)
    capfd.readouterr()
    walk(commands(GUIDES / "reproducing.md"), few)
    assert "step 2" in capfd.readouterr().err
    assert main(["pretrain", "--config", "runs/x/config.json", "--workdir", "runs/again"]) == 0
