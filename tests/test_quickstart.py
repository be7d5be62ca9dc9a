"""The quickstart's minutes are the same wherever they are told."""

from __future__ import annotations

from pathlib import Path

from bertjax.config import PretrainConfig
from bertjax.config_files import load_config

ROOT = Path(__file__).parents[1]


def test_its_minutes_are_the_same_everywhere():
    recipe = ROOT / "configs" / "quickstart.py"
    told = f"{load_config(recipe, PretrainConfig).train.minutes:g} minutes"
    for place in (recipe, ROOT / "scripts" / "quickstart.sh", ROOT / "README.md"):
        assert told in place.read_text(encoding="utf-8"), place
    for place in ("scripts/quickstart.sh", "README.md"):
        assert "less than 10 minutes" in (ROOT / place).read_text(encoding="utf-8"), place
