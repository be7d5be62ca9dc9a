"""The guide's commands, run on the first steps of a tiny run."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny_run
from documented import GUIDES, commands, walk

from bertjax.cli.main import main

pytestmark = pytest.mark.slow


def test_what_the_guide_shows_runs(corpus, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    Path("data/mycorpus").symlink_to(corpus)
    (recipe := Path("recipe.py")).write_text(tiny_run.RECIPE)
    few = ("train.steps=8", "train.hash_every=1")
    assert main(tiny_run.pretrain_argv(Path("runs/x"), recipe, corpus, *few)) == 0
    walk(commands(GUIDES / "auditing.md"), instead={"900:1000": "5:8", "0:200": "0:2"})
