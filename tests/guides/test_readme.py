"""README's commands, run as they stand on a small model; the quickstart, by its script."""

from __future__ import annotations

from pathlib import Path

import pytest
from documented import (
    FEW_STEPS,
    GUIDES,
    ONE_EPOCH,
    README,
    SMALL_MODEL,
    SMALL_PHASE,
    commands,
    walk,
)
from stand_ins import write_folder, write_pairs, write_table

pytestmark = pytest.mark.slow


def test_what_the_readme_shows_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_folder("mytext")
    write_folder("notes", 4, new_words=600)
    write_pairs("blimp.jsonl.xz")
    for name in ("my.tsv", "other.tsv"):
        write_table(name, text="review", label="stars")
    for name in ("test.tsv", "held-out.tsv"):
        write_table(name, text="review", label="stars")
    Path("reviews.txt").write_text("a good river\na bad city\n")
    # A grid is walked where its guide is.
    shown = [one for one in commands(README) if one not in commands(GUIDES / "ablations.md")]
    few = {
        "prepare": ["--workers", "1"],
        "pretrain": [*SMALL_MODEL, SMALL_PHASE, *FEW_STEPS, "train.minutes=0"],
        "adapt": ["--workers", "1", *FEW_STEPS],
        "finetune": ONE_EPOCH,
    }
    learned = next(index for index, one in enumerate(shown) if " fuse " in one)
    walk(shown[:learned], few)
    (mine,) = (one for one in shown if "--workdir ft/mine" in one)
    walk([mine.replace("ft/mine", "ft/other")], {"finetune": [*ONE_EPOCH, "tune.seeds=1"]})
    walk(shown[learned:], few)
