"""Fine-tuning as a probe of a cell, against `bertjax finetune` of the same run."""

from __future__ import annotations

import json

import pytest

from bertjax.ablate.check import check
from bertjax.cli.ablate import with_fields
from bertjax.cli.main import main
from bertjax.errors import UserError

pytestmark = pytest.mark.slow

RECIPE = """
from bertjax.config import *


def get_config():
    return FinetuneConfig(
        task=TaskConfig(family="classification"),
        data=ExamplesConfig(train={train!r}, dev={dev!r}, max_length=32),
        optim=OptimConfig(learning_rate=1e-3),
        tune=TuneConfig(epochs=1, batch_size=16, seeds=(0, 1)),
    )
"""


@pytest.fixture
def task(tmp_path, text):
    """Which of two words a sentence has."""
    sentences = [line for line in text.read_text().splitlines() if "old" in line or "quiet" in line]
    rows = [f"{'old' if 'old' in line else 'quiet'}\t{line}" for line in sentences]
    rows[100] += "\u2028A line separator is no end of a row."
    for name, part in (("train", rows[:100]), ("dev", rows[100:150])):
        (tmp_path / f"{name}.tsv").write_text("\n".join(["label\ttext", *part]) + "\n")
    places = {name: str(tmp_path / f"{name}.tsv") for name in ("train", "dev")}
    (tmp_path / "words_of.py").write_text(RECIPE.format(**places))
    return tmp_path / "words_of.py"


def test_a_cell_scores_as_its_run_does_when_it_is_fine_tuned(grid, cfg, task, tmp_path):
    material = check(with_fields(cfg, [f"probes.finetune={task}"]))
    probe = material.probes[-1]
    run = grid / "cells" / "off" / "seed1"
    scores = material.measure(run)["words_of"]
    assert len(scores.values) == 50 and scores.unit == "of the dev examples, mean of 2 seeds"
    argv = [
        "finetune",
        "--config",
        str(task),
        "--init",
        str(run),
        "--workdir",
        str(tmp_path / "ft"),
    ]
    assert main(argv) == 0
    results = json.loads((tmp_path / "ft" / "results.json").read_text())
    accuracy = results["splits"]["dev"]["models"]["accuracy"]["mean"]
    assert scores.headline == pytest.approx(accuracy)
    more = check(with_fields(cfg, [f'probes.finetune=["{task} tune.seeds=0"]'])).probes[-1]
    assert more.cfg.tune.seeds == (0,) and more.material() != probe.material()
    known, _ = probe.material()  # grids of before know neither of these
    assert "transfer" not in known and "unlabelled" not in known["data"]


def test_a_task_whose_examples_are_not_simply_right_is_refused(cfg, task):
    for typed, said in (
        ("task.family=regression", "use a task of classification or multiple_choice without folds"),
        ("tune.folds=3 data.dev=", "tune.folds=3: use a task of"),
        ("data.train=nowhere.tsv", "nowhere.tsv"),
    ):
        with pytest.raises(UserError) as refused:
            check(with_fields(cfg, [f'probes.finetune=["{task} {typed}"]']))
        assert said in str(refused.value)
