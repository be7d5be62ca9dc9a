"""The guide's commands, run as they stand on small models."""

from __future__ import annotations

import pytest
from documented import FEW_STEPS, GUIDES, SMALL_MODEL, commands, walk
from stand_ins import write_folder, write_pairs

pytestmark = pytest.mark.slow

BY_STEPS = ["train.minutes=0", *FEW_STEPS]


def small_rows(phases: int) -> list[str]:
    fields = ("seq_len=32", "batch_size=8")
    return [f"data.phases.{phase}.{field}" for phase in range(phases) for field in fields]


def test_what_the_guide_shows_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("mytext", "general", "domain")):
        write_folder(name, seed)
    write_pairs("blimp.jsonl.xz")
    shown = commands(GUIDES / "pretraining.md")
    # Three runs of other shapes have one name in the guide.
    named = [one.replace("runs/x", "runs/phases") if "causal_then" in one else one for one in shown]
    named = [one.replace("runs/x", "runs/two") if "two_corpora" in one else one for one in named]
    for command in named:
        phases = 2 if "two_corpora" in command or "causal_then" in command else 1
        of_run = [*SMALL_MODEL, *small_rows(phases), *BY_STEPS]
        walk([command], {"prepare": ["--workers", "1"], "pretrain": of_run})
