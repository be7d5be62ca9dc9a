"""scripts/from_text.sh: text in, a directory that Hugging Face loads out, and again."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
import xla_flags

ROOT = Path(__file__).resolve().parents[2]
SMALL = (
    *("model.hidden_size=32", "model.num_layers=1", "model.num_heads=2"),
    *("model.intermediate_size=64", "model.max_positions=32"),
    *("data.phases.0.seq_len=32", "data.phases.0.batch_size=8", "train.eval_rows=8"),
    *("train.minutes=0", "train.steps=2"),
)


def write_text(path: Path) -> Path:
    draw = random.Random(0)
    syllables = [a + b for a in "bcdfghjklmnpqrstvwxz" for b in "aeiou"]
    words = ["".join(draw.choices(syllables, k=draw.randint(1, 4))) for _ in range(2000)]
    documents = (" ".join(draw.choices(words, k=60)) + "." for _ in range(300))
    path.write_text("\n\n".join(documents) + "\n")
    return path


def from_text(tmp_path: Path, *words: object) -> subprocess.CompletedProcess[str]:
    """Run the script; `bertjax` is this checkout, whether or not it is installed."""
    command = tmp_path / "bin" / "bertjax"
    command.parent.mkdir(exist_ok=True)
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m bertjax "$@"\n')
    command.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{command.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "XLA_FLAGS": xla_flags.QUICK,
    }
    return subprocess.run(
        [ROOT / "scripts" / "from_text.sh", *map(str, words)],
        env=environment,
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_the_budget_recipe_goes_all_the_way(tmp_path):
    out, config = tmp_path / "out", "budget_mini"
    words = [config, out, write_text(tmp_path / "a.txt"), "--", *SMALL]
    done = from_text(tmp_path, *words)
    assert done.returncode == 0, done.stderr
    assert "RobertaPreLayerNormForMaskedLM" in done.stdout
    assert (out / "hf" / "model.safetensors").exists()
    weights = (out / "hf" / "model.safetensors").read_bytes()
    again = from_text(tmp_path, *words)
    assert again.returncode == 0 and "is there already" in again.stdout, again.stderr
    assert (out / "hf" / "model.safetensors").read_bytes() == weights


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "usage"),
        (["configs/none.py", "out", "text"], "configs/none.py: there is no such file"),
        (["budget_mini", "out", "--", "train.minutes=1"], "usage"),
    ],
)
def test_wrong_arguments_are_refused(tmp_path, words, says):
    done = from_text(tmp_path, *words)
    assert done.returncode == 2 and says in done.stderr
