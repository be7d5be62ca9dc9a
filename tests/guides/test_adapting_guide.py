"""The guide's commands, run as they stand on a small model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import tiny_run
from documented import FEW_STEPS, GUIDES, ONE_EPOCH, ROOT, commands, walk

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
    Path("general").mkdir()
    Path("notes").mkdir()
    tiny_run.write_text(Path("general/a.txt"))
    text = tiny_run.write_text(Path("notes/a.txt"), documents=60, seed=4).read_text()
    # 200 new words: each letter stands for one.
    words = [f"{a}{b}qu{c}" for a in "abcdef" for b in "aeiou" for c in "abcdefghij"]
    Path("notes/a.txt").write_text(f"{text}\n{' '.join(words)}.\n\nAnd {' '.join(words)}.\n")
    pair = {"sentence_good": "the city is old", "sentence_bad": "the city old", "UID": "u"}
    Path("pairs.jsonl").write_text(json.dumps(pair) + "\n")
    for split in ("train", "dev"):
        Path(f"{split}.tsv").write_text("text\tlabel\n" + "old river\ta\nquiet city\tb\n" * 8)
    walk(commands(GUIDES / "adapting.md"), FEW)
    record = json.loads(Path("runs/clinic-words/adaptation.json").read_text())
    assert len(record["words"]) == 200 and record["after"]["pairs"] in (0.0, 1.0)
    shutil.rmtree("hf/base")
    assert main(["adapt", "--workdir", "runs/clinic"]) == 0
