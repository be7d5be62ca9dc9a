"""What is concluded from a table whose scores are made, and which cells are not fit for one."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from bertjax.ablate.conclusions import conclusions
from bertjax.ablate.cost import cost_of
from bertjax.ablate.differences import real_differences
from bertjax.ablate.gates import reasons_to_leave_out
from bertjax.ablate.grid import Cell
from bertjax.ablate.power import foretell
from bertjax.ablate.table import Table
from bertjax.config import (
    AblationConfig,
    Arm,
    DataConfig,
    MaskingConfig,
    OptimConfig,
    PretrainConfig,
    TrainConfig,
)
from bertjax.probe.scores import Scores

CFG = AblationConfig(arms=(Arm("control"), Arm("better"), Arm("same")), control="control", seeds=5)


def table(shift: dict[str, float], noise: float = 0.01, seeds: int = 5) -> Table:
    """Losses of 50 examples; a seed's noise is its own in each arm."""
    draw = np.random.default_rng(0)
    of_examples = draw.normal(3.0, 0.5, 50)
    scores = {
        Cell(arm, seed): {
            "held_out": Scores(
                "held_out", of_examples + shift[arm] + draw.normal(0, noise), "nats a piece", "low"
            )
        }
        for seed in range(seeds)
        for arm in shift
    }
    return Table(replace(CFG, seeds=max(2, seeds)), scores, {cell: {} for cell in scores}, {})


def test_intervals_are_those_of_the_paired_t_and_claims_are_corrected():
    made = table({"control": 0.0, "better": -0.05, "same": 0.001})
    better, same = conclusions(made, "held_out")
    assert better.claimed and "better is better by 0.0" in better.says
    assert not same.claimed and same.says.startswith("not resolvable at this budget")
    ours = made.headlines("better", "held_out")
    theirs = made.headlines("control", "held_out")
    oracle = stats.ttest_rel(ours, theirs)
    assert better.interval is not None
    low, high = oracle.confidence_interval()
    assert (better.interval.low, better.interval.high) == pytest.approx((low, high))
    # Holm's: the smaller of two p-values is doubled, and the sentence says that one.
    assert f"p = {2 * oracle.pvalue:.2g}" in better.says


def test_a_comparison_that_has_not_ended_is_counted_by_the_correction():
    """Who looks at half of a grid makes no more claims than at its end."""
    made = table({"control": 0.0, "better": -0.05})
    better, same = conclusions(made, "held_out")
    oracle = stats.ttest_rel(
        made.headlines("better", "held_out"), made.headlines("control", "held_out")
    )
    assert same.interval is None and f"p = {2 * oracle.pvalue:.2g}" in better.says


def test_one_seed_in_common_is_not_compared():
    made = table({"control": 0.0, "better": -0.05, "same": 0.0}, seeds=1)
    found = conclusions(made, "held_out")
    assert [comparison.interval for comparison in found] == [None, None]
    assert "have 1 fit seeds in common, two are needed" in found[0].says


def test_the_smallest_effect_is_said_before_the_first_step_and_from_seeds_that_ended(tmp_path):
    before = list(foretell(Table(CFG, {}, {}, {}), tmp_path / "grid"))
    assert before[0] == "grid   3 arms × 5 seeds, 0 of 15 cells have ended"
    assert "0.041 nats a piece with 80 % probability, among 2 comparisons" in before[1]
    assert "assumed" in before[1]
    after = list(foretell(table({"control": 0.0, "better": 0.0, "same": 0.0}), tmp_path / "grid"))
    assert "from the seeds that have ended" in after[1]


ROWS = [
    {"kind": "train", "step": 10, "tokens": 100.0, "skipped": 0.0},
    {"kind": "evaluation", "step": 20, "masked_lm_loss": 3.0, "unigram_entropy": 4.0},
    {"kind": "train", "step": 20, "tokens": 100.0, "skipped": 0.0},
]
FIT = {"held_out": Scores("held_out", np.ones(3), "nats a piece", "low")}


@pytest.mark.parametrize(
    ("change", "warmup", "scores", "said"),
    [
        ({}, 0.1, FIT, None),
        ({"masked_lm_loss": 4.5}, 0.1, FIT, "4.5000 is above the unigram entropy 4.0000"),
        ({"masked_lm_loss": None}, 0.1, FIT, "its held-out loss is not finite"),
        ({"skipped": 18.0}, 0.1, FIT, "it took 2 updates, and its warm-up has 2"),
        ({"skipped": 1.0}, 0.1, FIT, "1 of its steps were not finite and were skipped"),
        (
            {},
            0.1,
            {"x": Scores("x", np.array([math.nan]), "u", "low")},
            "its scores of x are not finite",
        ),
    ],
)
def test_a_cell_that_is_not_fit_says_why(change, warmup, scores, said):
    cfg = PretrainConfig(optim=OptimConfig(warmup_fraction=warmup))
    rows = [row | {key: value for key, value in change.items() if key in row} for row in ROWS]
    found = reasons_to_leave_out(cfg, rows, scores)
    assert (found == []) if said is None else any(said in reason for reason in found)


def test_the_cost_of_a_cell_is_that_of_its_training_alone():
    rates = {"tokens_per_second": 50.0, "model_flops_per_second": 7.0}
    rows = [row | rates if row["kind"] == "train" else row for row in ROWS]
    cost = cost_of(rows, {"step": 20, "tokens": 2000})
    assert cost == {"steps": 20, "tokens": 2000, "seconds": 40.0, "flops": 280.0}
    assert cost_of(ROWS, {"step": 20, "tokens": 2000})["seconds"] is None


def test_differences_are_of_what_is_read():
    base = PretrainConfig(data=DataConfig(format="full_sentences"))
    other = replace(
        base,
        data=replace(base.data, short_seq_prob=0.5, workers=3),
        masking=MaskingConfig(span_p=0.5),
        optim=OptimConfig(muon_adam_ratio=0.9, power=2.0),
        train=TrainConfig(log_every=7),
    )
    assert real_differences(base, other) == []
    spans = replace(other, masking=MaskingConfig(unit="span", span_p=0.5))
    assert real_differences(base, spans) == [
        'masking.unit: "piece" -> "span"',
        "masking.span_p: 0.2 -> 0.5",
    ]
