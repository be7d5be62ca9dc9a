"""The guide's commands, run as they stand on a small encoder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tiny_task
from documented import GUIDES, ONE_EPOCH, ROOT, commands, walk

pytestmark = pytest.mark.slow


def test_what_the_guide_shows_runs(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    tiny_task.export_encoder(Path("hf/base"))
    for name, rows, seed in (("train", 24, 0), ("dev", 8, 1), ("more", 40, 2)):
        tiny_task.write_table(Path(f"{name}.tsv"), rows, seed)
    lines = Path("more.tsv").read_text().splitlines()[1:]
    Path("more.txt").write_text("\n".join(line.split("\t")[0] for line in lines) + "\n")
    walk(commands(GUIDES / "unlabelled.md"), {"finetune": ONE_EPOCH})
    said = capfd.readouterr()
    assert "pool   24 labelled and 40 unlabelled rows: self_training" in said.err
    assert "rule   m/n from 50 to 100 with W1=1 and W2=0.1: does not hold, as m/n is" in said.err
    assert "transfer.threshold" in said.out
    (model,) = json.loads(Path("ft/weighted/results.json").read_text())["models"]
    assert sum(entry["taken"] for entry in model["rounds"][1]["classes"].values()) == 40
