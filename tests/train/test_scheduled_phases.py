"""Phases that learn different things over the same parameters: the next token, then what is hidden.

The masked phase hides less and less.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import tiny_run
from test_pace import Clock, go
from test_pace import config as timed_config

from bertjax.cli.main import main
from bertjax.config import DataConfig, Phase, PretrainConfig, TrainConfig
from bertjax.data.batches import BatchSource
from bertjax.data.corpus import open_corpus
from bertjax.errors import UserError
from bertjax.objectives.masks import Fall
from bertjax.pretrained import open_pretrained, run_config
from bertjax.runs.directory import RunDirectory
from bertjax.train.pace import make_pace

pytestmark = pytest.mark.slow

EDGE, STEPS = 12, 24  # the first step of the second phase; its end
PHASES = "(Phase(32, 16, 0.5, attention='causal'), Phase(32, 16, 0.5, mask_rate=(0.4, 0.1)))"
# The edge lies between two reports and between two evaluations.
RECIPE = (
    tiny_run.RECIPE.replace("(Phase(32, 16),)", PHASES)
    .replace("log_every=4", "log_every=5")
    .replace("eval_every=6", "eval_every=8")
)


@pytest.fixture(scope="session")
def recipe(once) -> Path:
    return once("scheduled.py", lambda path: path.write_text(RECIPE))


@pytest.fixture(scope="session")
def scheduled(once, recipe, corpus) -> Path:
    def make(workdir: Path) -> None:
        assert main(tiny_run.pretrain_argv(workdir, recipe, corpus)) == 0

    return once("scheduled", make)


def test_each_phase_reports_and_is_measured_by_what_it_learns(scheduled):
    reports = {row["step"]: row for row in tiny_run.metrics(scheduled, "train")}
    assert list(reports) == [5, 10, EDGE, 15, 20, STEPS]
    for step, row in reports.items():
        assert ("causal_lm_loss" in row, "masked_lm_loss" in row) == (step <= EDGE, step > EDGE)
        assert ("next_sentence_loss" in row) == (step > EDGE)
    causal, *masked = tiny_run.metrics(scheduled, "evaluation")
    assert (causal["step"], causal["phase"]) == (8, 0) and "causal_lm_loss" in causal
    assert [(row["step"], row["phase"]) for row in masked] == [(16, 1), (24, 1)]
    # The best is the best of what compares: a causal loss is another measure.
    best = min(masked, key=lambda row: row["masked_lm_loss"])
    assert tiny_run.newest_step(scheduled / "best") == best["step"]
    assert reports[STEPS]["masked_lm_loss"] < reports[15]["masked_lm_loss"]


def test_as_many_tokens_are_hidden_as_the_rate_of_the_step_says(scheduled, corpus):
    """Counted over the very rows: the formula of BERT's budget at each step's own rate."""
    cfg = run_config(scheduled)
    source = BatchSource(open_corpus(corpus, "train"), cfg.data, 1, cfg.seed)
    rates = np.linspace(0.4, 0.1, STEPS - EDGE)
    for row in tiny_run.metrics(scheduled, "train"):
        if row["step"] > EDGE:
            at = row["step"] - EDGE - 1
            lengths = (source.batch(at)["segments"] != 0).sum(1)
            # [CLS] and two [SEP] cannot be chosen.
            wanted = [min(max(1, round(rates[at] * n)), n - 3) for n in lengths.tolist()]
            assert row["predicted"] == sum(wanted)


@pytest.mark.parametrize("step", [10, 15])
def test_it_resumes_in_either_phase_to_the_same_bits(tmp_path, scheduled, recipe, corpus, step):
    workdir = tiny_run.rewind(scheduled, tmp_path / "run", step)
    assert main(tiny_run.pretrain_argv(workdir, recipe, corpus)) == 0
    tiny_run.assert_same_bits(tiny_run.state(workdir), tiny_run.state(scheduled))
    assert tiny_run.metrics(workdir) == tiny_run.metrics(scheduled)


def test_killed_in_the_second_phase_it_ends_unharmed(tmp_path, scheduled, recipe, corpus):
    argv = tiny_run.pretrain_argv(tmp_path / "run", recipe, corpus)
    with tiny_run.start(argv) as process:
        assert process.stderr is not None
        assert any(re.match("eval   step 16 ", line) for line in process.stderr)
        os.kill(process.pid, signal.SIGKILL)
    tiny_run.finish(tiny_run.start(argv))
    tiny_run.assert_same_bits(tiny_run.state(tmp_path / "run"), tiny_run.state(scheduled))
    assert tiny_run.metrics(tmp_path / "run") == tiny_run.metrics(scheduled)


def test_the_model_is_that_of_the_phase_that_its_weights_are_of(tmp_path, scheduled, capfd):
    assert open_pretrained(scheduled).cfg.attention == "full"
    assert main(["fill-mask", str(scheduled), "The old [MASK] opened the house."]) == 0
    assert main(["export", str(scheduled), "--out", str(tmp_path / "hf")]) == 0
    architecture = json.loads((tmp_path / "hf" / "config.json").read_text())["architectures"]
    assert architecture == ["BertForPreTraining"]
    assert main(["info", str(scheduled)]) == 0
    assert "16×32 (attention causal), then 16×32 (masks 40 to 10 %)" in capfd.readouterr().out

    begun = tiny_run.rewind(scheduled, tmp_path / "begun", 10)
    shutil.rmtree(RunDirectory(begun).best)
    found = open_pretrained(begun)
    assert found.cfg.attention == "causal" and found.step == 10


@pytest.mark.parametrize("phase", ["0", "1"])
def test_bench_and_plan_take_each_phase(tmp_path, recipe, phase, monkeypatch):
    monkeypatch.setattr("bertjax.plan.gpu.can_compile", lambda: False)
    if phase == "1":
        there = ["--json", str(tmp_path / "plan.json"), "model.vocab_size=150"]
        assert main(["plan", "--config", str(recipe), "--topology", "h100:1", *there]) == 0
        causal, masked = json.loads((tmp_path / "plan.json").read_text())["phases"]
        # All but one token of a row have logits; of hidden ones a quarter on average have.
        assert causal["roofline"]["flops"] > 1.2 * masked["roofline"]["flops"]
    report = tmp_path / "bench.json"
    steps = ["--steps", "4", "--no-parts", "--json", str(report), "--phase", phase]
    assert main(["bench", "--config", str(recipe), *steps, "model.vocab_size=150"]) == 0
    assert json.loads(report.read_text())["step_seconds"] > 0


def test_by_the_clock_the_rate_falls_as_far_as_it_would_by_steps():
    """A phase of the clock goes through the places of its own in the schedule, to the last one."""
    clock, cfg = Clock(), timed_config(shares=(0.3, 0.7))
    places = go(make_pace(cfg, clock), 2, clock, lambda step: 0.05 if step < 300 else 0.2)
    rates = [float(Fall(0.3, 0.15, 3000, 9999).at(place)) for phase, place in places if phase]
    assert rates[0] == pytest.approx(0.3, abs=0.002) and rates[-1] == np.float32(0.15)
    assert all(later <= rate for rate, later in pairwise(rates))


@pytest.mark.parametrize(
    ("phases", "model", "said"),
    [
        (("full", "causal"), "full", "set model.attention=causal"),
        (("", "full"), "causal", "set model.attention=full"),
    ],
)
def test_the_model_is_the_last_phases(phases, model, said):
    shapes = tuple(Phase(16, 8, 0.5, attention=direction) for direction in phases)
    network = PretrainConfig().model.__class__(attention=model)
    with pytest.raises(UserError, match=said):
        PretrainConfig(network, DataConfig(phases=shapes), train=TrainConfig(steps=4))
