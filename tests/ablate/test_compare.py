"""`bertjax compare`: what really differs, and one table of curves."""

from __future__ import annotations

import re

import pytest

from bertjax.ablate.curves import evaluations
from bertjax.cli.main import main
from bertjax.review.review import load_review

pytestmark = pytest.mark.slow


def test_runs_beside_one_another(grid, tmp_path, capsys):
    runs = [grid / "cells" / arm / "seed0" for arm in ("nsp", "off")]
    for out in ("page.html", "curves.svg"):
        assert main(["compare", *map(str, runs), "--out", str(tmp_path / out)]) == 0
    said = capsys.readouterr().out
    first = said[: said.index("In what they differ", 20)]
    assert re.search(r"^ +nsp/seed0 +off/seed0$", first, re.M)
    assert re.search(r"^data.format +segment_pair\+nsp +segment_pair\+nsp_rows$", first, re.M)
    assert "seed " not in first and "data.corpus" not in first
    for run in runs:
        steps, losses = evaluations(run)
        assert steps.tolist() == [20, 40, 60]
        assert all(f"{loss:.4f}" in first for loss in losses)
    reviews = [load_review(run / "review.json") for run in runs]
    for level in ("unigram_entropy", "bigram_loss"):
        name = level.replace("_loss", " model").replace("_", " ")
        row = "".join(rf" +{getattr(found, level):.4f}" for found in reviews)
        assert re.search(rf"^{name}{row}$", said, re.M)
    for name, found in zip(("nsp/seed0", "off/seed0"), reviews, strict=True):
        assert all(f"- {name}: {line}" in said for line in found.lines())
    assert (tmp_path / "curves.svg").read_text().startswith("<svg")
    assert "<table>" in (tmp_path / "page.html").read_text()


def test_seeds_of_one_arm_differ_in_the_seed_alone(grid, capsys):
    runs = [str(grid / "cells" / "off" / f"seed{seed}") for seed in (0, 1)]
    assert main(["compare", *runs]) == 0
    table = capsys.readouterr().out.split("Held-out loss")[0]
    assert re.findall(r"^(\S+) ", table, re.M) == ["In", "seed", "tokens"]


def test_what_cannot_be_compared(grid, corpus, tmp_path, capsys):
    run = str(grid / "cells" / "off" / "seed0")
    for argv, said in (
        ([run], "alone: give two runs or more"),
        ([run, run], "a run is named twice"),
        ([run, str(corpus)], "is a corpus of `bertjax prepare`: give a run of `bertjax pretrain`"),
        ([run, str(grid / "x")], "is not there"),
        ([run, run, "--out", str(tmp_path / "x.png")], "write a .html page or an .svg picture"),
    ):
        assert main(["compare", *argv]) == 2
        assert said in capsys.readouterr().err
