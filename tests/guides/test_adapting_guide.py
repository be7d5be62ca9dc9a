"""The guide's commands, run as they stand on a small model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import tiny_run
from documented import FEW_STEPS, GUIDES, ONE_EPOCH, ROOT, commands, walk
from stand_ins import write_folder, write_pairs

from bertjax.cli.main import main

pytestmark = pytest.mark.slow

FEW = {
    "prepare": ["--workers", "1"],
    "adapt": ["--workers", "1", *FEW_STEPS],
    "finetune": ONE_EPOCH,
}


def test_what_the_guide_shows_runs(once, corpus, tmp_path, monkeypatch):
    def make(workdir: Path) -> None:
        (recipe := workdir.parent / "recipe.py").write_text(tiny_run.RECIPE)
        assert main(tiny_run.pretrain_argv(workdir, recipe, corpus, "train.steps=2")) == 0

    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    assert main(["export", str(once("to adapt", make)), "--out", "hf/base"]) == 0
    write_folder("general")
    write_folder("notes", 4, new_words=300)
    write_pairs("pairs.jsonl")
    for split in ("train", "dev"):
        Path(f"{split}.tsv").write_text("text\tlabel\n" + "old river\ta\nquiet city\tb\n" * 8)
    walk(commands(GUIDES / "adapting.md"), FEW)
    record = json.loads(Path("runs/clinic-words/adaptation.json").read_text())
    assert len(record["words"]) == 200 and record["after"]["pairs"] in (0.0, 1.0)
    shutil.rmtree("hf/base")
    assert main(["adapt", "--workdir", "runs/clinic"]) == 0
