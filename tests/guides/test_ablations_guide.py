"""The guide's commands, run on the first two arms of its ablation, two steps each."""

from __future__ import annotations

from pathlib import Path

import pytest
from documented import GUIDES, SMALL_MODEL, SMALL_PHASE, commands, walk

pytestmark = pytest.mark.slow

TWO_ARMS = """
from dataclasses import replace

from bertjax.config import AblationConfig
from bertjax.recipes.shipped import load_recipe


def get_config():
    whole = load_recipe("nsp", AblationConfig)
    return replace(whole, arms=whole.arms[:2], control="segment_pair-off")
"""


def test_what_the_guide_shows_runs(corpus, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("nsp.py").write_text(TWO_ARMS)
    Path("data").mkdir()
    Path("data/mycorpus").symlink_to(corpus)
    few = [*SMALL_MODEL, SMALL_PHASE, "train.eval_rows=8", "seeds=2"]
    for command in commands(GUIDES / "ablations.md"):
        budget = ["budget.minutes=0.02"] if "budget.minutes" in command else ["budget.tokens=512"]
        more = {} if "--report" in command else {"ablate": [*few, *budget]}
        walk([command], more, {"--config nsp": "--config nsp.py"})
    for name in ("nsp", "short"):
        assert Path("ab", name, "report.html").exists()
