"""`make quickstart`: its commands run, and its minutes are the same wherever they are told."""

from __future__ import annotations

import re
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest
from documented import README, ROOT, SMALL_MODEL
from scripted import run_script

from bertjax.config import PretrainConfig
from bertjax.recipes.files import load_config


def test_its_minutes_are_the_same_everywhere():
    recipe = ROOT / "configs" / "quickstart.py"
    told = f"{load_config(recipe, PretrainConfig).train.minutes:g} minutes"
    for place in (recipe, ROOT / "scripts" / "quickstart.sh", ROOT / "README.md"):
        assert told in place.read_text(encoding="utf-8"), place
    for place in ("scripts/quickstart.sh", "README.md"):
        assert "less than 10 minutes" in (ROOT / place).read_text(encoding="utf-8"), place


@pytest.mark.slow
def test_its_commands_run_and_are_those_that_the_readme_shows(tmp_path, capfd):
    """In a folder of its own, from less text; training is a few steps of a smaller model."""
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    collect = tmp_path / "scripts" / "collect_docstrings.py"
    flax = Path(find_spec("flax").origin).parent
    less = collect.read_text().replace('Path(sysconfig.get_path("stdlib"))', f"Path({str(flax)!r})")
    collect.write_text(re.sub(r"PACKAGES = \[.*?\]", "PACKAGES = []", less, flags=re.S))
    few = ["train.minutes=0", "train.steps=2", "train.eval_rows=8", *SMALL_MODEL]
    few += ["data.phases.0.seq_len=32"]
    script = tmp_path / "scripts" / "quickstart.sh"
    assert run_script(script, place=tmp_path, more={"pretrain": few}) == 0
    assert (tmp_path / "hf" / "quickstart" / "model.safetensors").exists()
    said = capfd.readouterr().out
    assert said.count("[MASK]") == 8 and "1,355,136" not in said
    shown = re.findall(r"^\$ (bertjax .*?)(?: \.\.\.)?$", README.read_text(encoding="utf-8"), re.M)
    run = re.findall(r"^\$ (bertjax .*)", said, re.M)
    assert len(shown) == 5
    for one in shown:
        assert any(line.startswith(one) for line in run), one
