"""Which epoch is the best: the first of the highest numbers, and none where there is no number."""

from __future__ import annotations

import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_task import config, start

from bertjax.errors import EXIT_NON_FINITE, UserError
from bertjax.finetuning import member
from bertjax.finetuning.member import first_best
from bertjax.finetuning.run import finetune
from bertjax.finetuning.saved import open_saved
from bertjax.tasks.classification import Classification
from bertjax.tree import flatten


@pytest.mark.slow
def test_early_stopping_and_the_best_epoch(tables, tmp_path):
    """At a rate of zero no epoch is better than the first."""
    cfg = config(*tables, optim={"learning_rate": 0.0}, tune={"epochs": 9, "patience": 2})
    assert finetune(cfg, tmp_path / "run", start()).stopped is None
    (model,) = json.loads((tmp_path / "run" / "results.json").read_text())["models"]
    assert (model["best_epoch"], model["epochs"]) == (1, 3)


def say(monkeypatch, *values):
    """Have the accuracy of the next evaluations be these."""
    left, score = list(values), Classification.score

    def instead(self, examples, scores):
        found = score(self, examples, scores)
        return found | ({"accuracy": left.pop(0)} if left else {})

    monkeypatch.setattr(Classification, "score", instead)


@pytest.mark.slow
def test_what_is_not_a_number_is_never_the_best(tables, tmp_path, monkeypatch):
    run, nan = tmp_path / "run", float("nan")
    say(monkeypatch, nan, 0.4, nan, nan)  # of the epochs, and of the best one again
    assert finetune(config(*tables), run, start()).stopped is None
    text = (run / "results.json").read_text()
    found = json.loads(text, parse_constant=pytest.fail)  # what JSON does not have
    (model,) = found["models"]
    assert (model["best_epoch"], model["dev"]["accuracy"]) == (2, 0.4)
    assert found["splits"]["dev"]["models"]["accuracy"]["mean"] is None
    lines = [json.loads(x) for x in (run / "seed-0" / "metrics.jsonl").read_text().splitlines()]
    assert [x["accuracy"] for x in lines if x["kind"] == "evaluation"] == [None, 0.4, None]
    assert (run / "curve.png").stat().st_size > 1000
    assert open_saved(run).best.name == "seed-0"


@pytest.mark.slow
def test_a_metric_that_is_never_a_number_is_said_and_ends_the_run(tables, tmp_path, monkeypatch):
    say(monkeypatch, *[float("nan")] * 3)
    for _ in range(2):  # trained once; the same command says the same
        with pytest.raises(UserError, match="accuracy on dev is not a number after") as caught:
            finetune(config(*tables), tmp_path / "run", start())
        assert caught.value.exit_code == EXIT_NON_FINITE
    assert not (tmp_path / "run" / "results.json").exists()


@pytest.mark.slow
def test_ended_before_its_result_it_repeats_the_last_epoch(tables, tmp_path, monkeypatch):
    cfg = config(*tables, tune={"epochs": 2})
    assert finetune(cfg, tmp_path / "whole", start()).stopped is None
    with monkeypatch.context() as patched:
        patched.setattr(member, "write_json", lambda *_: sys.exit("killed"))
        with pytest.raises(SystemExit):
            finetune(cfg, tmp_path / "killed", start())
    assert finetune(cfg, tmp_path / "killed", start()).stopped is None
    found = [tmp_path / name / "seed-0" for name in ("whole", "killed")]
    ours, theirs = ((x / "metrics.jsonl").read_bytes() for x in found)
    assert ours == theirs and not any((x / "checkpoints").exists() for x in found)
    a, b = (flatten(run.parameters(run.best)) for run in (open_saved(x.parent) for x in found))
    assert all(a[path].tobytes() == b[path].tobytes() for path in a)


@given(st.lists(st.one_of(st.none(), st.just(float("nan")), st.integers(-3, 3).map(float))))
def test_the_first_best_is_that_of_the_numbers_alone(values):
    numbers = [value for value in values if value is not None and value == value]
    best = first_best(values)
    assert (best is None) == (not numbers)
    if best is not None:
        assert best == values.index(max(numbers))
