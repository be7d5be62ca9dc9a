"""The guide's commands, run as they stand on a small encoder."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import tiny_task
from documented import GUIDES, ONE_EPOCH, commands, walk
from stand_ins import write_table

pytestmark = pytest.mark.slow


def test_what_the_guide_shows_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiny_task.export_encoder(Path("hf/x"))
    shutil.copytree("hf/x", "runs/x")
    for name in ("train.tsv", "dev.tsv"):
        write_table(name, text="sentence")
    for name in ("my.tsv", "test.tsv"):
        write_table(name, text="review", label="stars")
    Path("reviews.txt").write_text("a good river\na bad city\n")
    walk(commands(GUIDES / "finetuning.md"), {"finetune": ONE_EPOCH})
