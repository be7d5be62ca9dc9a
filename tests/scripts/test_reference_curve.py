"""scripts/reference_curve.py: finished runs in, a curve out that other runs are set beside."""

from __future__ import annotations

import runpy

import pytest
import tiny_run
from documented import ROOT

import bertjax.review.reference as reference
from bertjax.cli.main import main


@pytest.mark.slow
def test_a_curve_has_the_evaluations_of_its_runs(once, corpus, tmp_path, monkeypatch, capsys):
    runs = []
    for seed in (0, 1):

        def make(workdir, seed=seed):
            (recipe := workdir.parent / "recipe.py").write_text(tiny_run.RECIPE)
            assert main(tiny_run.pretrain_argv(workdir, recipe, corpus, f"seed={seed}")) == 0

        runs.append(once(f"curve {seed}", make))
    monkeypatch.setattr(reference, "FOLDER", tmp_path)
    words = ["tiny", "--text", "docs", "--device", "a CPU", *map(str, runs)]
    monkeypatch.setattr("sys.argv", ["reference_curve.py", *words])
    runpy.run_path(str(ROOT / "scripts" / "reference_curve.py"), run_name="__main__")
    assert "nats under the unigram entropy after" in capsys.readouterr().out
    (made,) = [one for one in reference.references() if one.recipe == "tiny"]
    for run, below in zip(runs, made.below, strict=True):
        rows = tiny_run.metrics(run, "evaluation")
        gaps = [row["unigram_entropy"] - row["masked_lm_loss"] for row in rows]
        assert below == pytest.approx(gaps, abs=0.02) and len(gaps) == 4
    assert made.seeds == [0, 1] and made.tokens == sorted(made.tokens)
