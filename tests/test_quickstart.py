"""`make quickstart`: its commands run, and its minutes are the same wherever they are told."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

import pytest
import xla_flags
from documented import README, ROOT, SMALL_MODEL

from bertjax.config import PretrainConfig
from bertjax.config_files import load_config


def test_its_minutes_are_the_same_everywhere():
    recipe = ROOT / "configs" / "quickstart.py"
    told = f"{load_config(recipe, PretrainConfig).train.minutes:g} minutes"
    for place in (recipe, ROOT / "scripts" / "quickstart.sh", ROOT / "README.md"):
        assert told in place.read_text(encoding="utf-8"), place
    for place in ("scripts/quickstart.sh", "README.md"):
        assert "less than 10 minutes" in (ROOT / place).read_text(encoding="utf-8"), place


@pytest.mark.slow
def test_its_commands_run_and_are_those_that_the_readme_shows(tmp_path):
    """In a folder of its own, from less text; training is a few steps of a smaller model."""
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    collect = tmp_path / "scripts" / "collect_docstrings.py"
    text = collect.read_text()
    less = text.replace(
        'Path(sysconfig.get_path("stdlib"))', 'Path(__import__("flax").__path__[0])'
    )
    collect.write_text(re.sub(r"PACKAGES = \[.*?\]", "PACKAGES = []", less, flags=re.S))
    few = ["train.minutes=0", "train.steps=2", "train.eval_rows=8", *SMALL_MODEL]
    few += ["data.phases.0.seq_len=32"]
    commands = {
        "bertjax": f'[ "$1" = pretrain ] && set -- "$@" {" ".join(few)}\n'
        f'exec {sys.executable} -m bertjax "$@"',
        "python": f'exec {sys.executable} "$@"',
    }
    (bin := tmp_path / "bin").mkdir()
    for name, work in commands.items():
        (bin / name).write_text(f"#!/bin/sh\n{work}\n")
        (bin / name).chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{bin}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "XLA_FLAGS": xla_flags.QUICK,
    }
    script = tmp_path / "scripts" / "quickstart.sh"
    done = subprocess.run([script], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "hf" / "quickstart" / "model.safetensors").exists()
    assert done.stdout.count("[MASK]") == 8 and "1,355,136" not in done.stdout
    shown = re.findall(r"^\$ (bertjax .*?)(?: \.\.\.)?$", README.read_text(encoding="utf-8"), re.M)
    run = re.findall(r"^\$ (bertjax .*)", done.stdout, re.M)
    assert len(shown) == 5
    for one in shown:
        assert any(line.startswith(one) for line in run), one
