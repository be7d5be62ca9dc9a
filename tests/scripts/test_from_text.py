"""scripts/from_text.sh: text in, a directory that Hugging Face loads out, and again."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest
from documented import ROOT, SMALL_MODEL
from scripted import run_script

SCRIPT = ROOT / "scripts" / "from_text.sh"
SMALL = (
    *SMALL_MODEL,
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


@pytest.mark.slow
def test_the_budget_recipe_goes_all_the_way(tmp_path, capfd):
    out, config = tmp_path / "out", "budget_mini"
    words = [config, out, write_text(tmp_path / "a.txt"), "--", *SMALL]
    assert run_script(SCRIPT, *words, place=tmp_path / "once") == 0
    assert "RobertaPreLayerNormForMaskedLM" in capfd.readouterr().out
    weights = (out / "hf" / "model.safetensors").read_bytes()
    assert run_script(SCRIPT, *words, place=tmp_path / "again") == 0
    assert "is there already" in capfd.readouterr().out
    assert (out / "hf" / "model.safetensors").read_bytes() == weights


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "usage"),
        (["configs/none.py", "out", "text"], "configs/none.py: there is no such file"),
        (["budget_mini", "out", "--", "train.minutes=1"], "usage"),
    ],
)
def test_wrong_arguments_are_refused(words, says):
    done = subprocess.run([SCRIPT, *words], capture_output=True, text=True)
    assert done.returncode == 2 and says in done.stderr
