"""The guide's commands, run as they stand on small models."""

from __future__ import annotations

import pytest
from documented import FEW_STEPS, GUIDES, SMALL_MODEL, commands, walk
from stand_ins import write_folder, write_pairs

pytestmark = pytest.mark.slow

SMALL_ROWS = [
    f"data.phases.{phase}.{field}" for phase in (0, 1) for field in ("seq_len=32", "batch_size=8")
]


def test_what_the_guide_shows_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("mytext", "general", "domain")):
        write_folder(name, seed)
    write_pairs("blimp.jsonl.xz")
    shown = commands(GUIDES / "pretraining.md")
    # Three runs of other shapes have one name in the guide.
    named = [one.replace("runs/x", "runs/phases") if "causal_then" in one else one for one in shown]
    named = [one.replace("runs/x", "runs/two") if "two_corpora" in one else one for one in named]
    walk(
        named,
        {
            "prepare": ["--workers", "1"],
            "pretrain": [*SMALL_MODEL, *SMALL_ROWS, *FEW_STEPS],
        },
    )
