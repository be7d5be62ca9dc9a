"""Intervals that cover, claims that hold, power that is reached: on arms whose truth is known."""

from __future__ import annotations

import math
from functools import partial
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import f1_score

from bertjax.errors import UserError
from bertjax.statistics import (
    Interval,
    grouped_t,
    holm,
    metric_t,
    paired_t,
    seeds_needed,
    sentence,
    signal_to_noise,
    smallest_effect,
    two_way_t,
)

ROUNDS = 2000


def table(rng, S, N, seed, example, residual):
    """Differences without an effect: a deviation a seed, one an example, one of both."""
    return (
        seed * rng.normal(size=(S, 1))
        + example * rng.normal(size=N)
        + residual * rng.normal(size=(S, N))
    )


def covered(interval: Interval, truth: float = 0.0) -> bool:
    return interval.low <= truth <= interval.high


@pytest.mark.parametrize("S", [3, 5, 10])
@pytest.mark.parametrize(
    "noise", [(0.05, 0.2, 0.4), (0.2, 0.1, 0.3), (0.0, 0.3, 0.5)], ids=["both", "seeds", "examples"]
)
def test_two_way_intervals_cover(S, noise):
    rng = np.random.default_rng(S)
    share = np.mean([covered(two_way_t(table(rng, S, 200, *noise))) for _ in range(ROUNDS)])
    assert 0.93 <= share <= 0.98


@pytest.mark.parametrize("S", [3, 5, 10])
def test_paired_intervals_cover(S):
    rng = np.random.default_rng(S)
    share = np.mean([covered(paired_t(rng.normal(size=S))) for _ in range(ROUNDS)])
    assert 0.93 <= share <= 0.98


def f1(totals):
    hit, spurious, missed = np.moveaxis(totals, -1, 0)
    return 2 * hit / (2 * hit + spurious + missed)


def counts(rng, skill_S1, ease_N, N):
    """Hits, spurious and missed entities of sentences with five entities each."""
    hits = rng.binomial(5, 1 / (1 + np.exp(-skill_S1 - ease_N)))
    return np.stack([hits, rng.binomial(5 - hits, 0.7), 5 - hits], -1)


@pytest.mark.parametrize("S", [3, 5, 10])
@pytest.mark.parametrize("seed_noise", [0.0, 0.3])
def test_intervals_of_f1_cover(S, seed_noise):
    rng, N, found = np.random.default_rng(S), 100, []
    for _ in range(600):
        ease = rng.normal(size=N)
        arms = []
        for _ in range(2):  # each finds other sentences easy
            skill, own = seed_noise * rng.normal(size=(S, 1)), ease + 0.7 * rng.normal(size=N)
            arms.append(counts(rng, skill, own, N))
        found.append(covered(metric_t(f1, *arms)))
    assert 0.93 <= np.mean(found) <= 0.98


def test_a_difference_of_f1_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    truth, arms = rng.integers(0, 2, 4000), []
    guesses = np.where(rng.random((2, 3, 4000)) < [[[0.3]], [[0.2]]], 1 - truth, truth)
    for guess_SN in guesses:
        cells = (guess_SN & truth, guess_SN & ~truth & 1, ~guess_SN & 1 & truth)
        arms.append(np.stack(cells, -1))
    expected = [np.mean([f1_score(truth, guess) for guess in arm]) for arm in guesses]
    assert metric_t(f1, *arms).difference == pytest.approx(expected[0] - expected[1], abs=1e-4)


def test_one_example_a_group_is_the_paired_t_of_examples():
    rng = np.random.default_rng(0)
    a, b = rng.random(40) < 0.8, rng.random(40) < 0.6
    gaps = a.astype(float) - b
    found = grouped_t(gaps.mean(), [np.delete(gaps, i).mean() for i in range(40)])
    theirs = stats.ttest_rel(a.astype(float), b)
    low, high = theirs.confidence_interval(0.95)
    assert (found.low, found.high, found.p) == pytest.approx((low, high, theirs.pvalue))
    assert found.difference == pytest.approx(gaps.mean())


@pytest.mark.parametrize("groups", [10, 50])
def test_intervals_of_groups_of_examples_cover(groups):
    """F1 of two arms without a difference, whose easy sentences are in part the same."""
    rng, N, found = np.random.default_rng(groups), 100, []
    parts = np.arange(N) % groups
    for _ in range(600):
        ease = rng.normal(size=N)
        arms = [counts(rng, 0.0, ease + 0.7 * rng.normal(size=N), N) for _ in range(2)]
        gap = [
            f1(arms[0][keep].sum(0)) - f1(arms[1][keep].sum(0))
            for keep in [np.full(N, True), *(parts != g for g in range(groups))]
        ]
        found.append(covered(grouped_t(gap[0], gap[1:])))
    assert 0.93 <= np.mean(found) <= 0.98


def multi_bootstrap(differences_SN, rng, draws=2000):
    """As published: both axes drawn with replacement, percentiles (Sellam et al. 2022)."""
    S, N = differences_SN.shape
    seeds = rng.multinomial(S, np.full(S, 1 / S), draws)
    examples = rng.multinomial(N, np.full(N, 1 / N), draws)
    return np.quantile(((examples @ differences_SN.T) * seeds).sum(1) / (S * N), [0.025, 0.975])


def test_with_many_seeds_the_interval_is_that_of_the_multi_bootstrap():
    rng = np.random.default_rng(0)
    differences = 0.5 + table(rng, 60, 400, 0.3, 1.0, 0.1)
    found = two_way_t(differences)
    low, high = multi_bootstrap(differences, rng)
    assert found.low == pytest.approx(low, abs=0.02) and found.high == pytest.approx(high, abs=0.02)


@given(st.integers(2, 8), st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_paired_t_is_scipys(S, seed):
    a, b = np.random.default_rng(seed).normal(size=(2, S))
    found, theirs = paired_t(a - b), stats.ttest_rel(a, b)
    interval = theirs.confidence_interval(0.95)
    assert (found.p, found.low, found.high) == pytest.approx((theirs.pvalue, *interval), rel=1e-9)


def test_one_example_and_alike_examples_have_the_noise_of_seeds_alone():
    differences = np.array([0.1, 0.3, 0.2])
    alone = paired_t(differences)
    assert two_way_t(differences[:, None]) == alone
    repeated = two_way_t(np.repeat(differences[:, None], 50, 1))
    for name in ("difference", "low", "high", "p", "df", "sd"):
        assert getattr(repeated, name) == pytest.approx(getattr(alone, name))


def test_differences_that_never_vary_say_nothing_of_noise():
    for differences in (np.full((3, 7), 0.1), np.zeros((3, 7)), np.full((2, 1), -2.0)):
        found = two_way_t(differences)
        assert (found.low, found.high, found.p, found.df) == (-math.inf, math.inf, 1.0, 0.0)
        assert "nothing is known of the noise" in sentence(found, "A", "B", "x")


@given(st.lists(st.floats(0, 1), min_size=1, max_size=5))
@settings(max_examples=60, deadline=None)
def test_holm_is_the_closed_test_of_bonferroni(p_values):
    """A hypothesis falls when every set that it is in does (Marcus et al. 1976)."""
    everyone = range(len(p_values))
    sets = [s for size in everyone for s in combinations(everyone, size + 1)]
    expected = [
        max(min(1.0, len(s) * min(p_values[j] for j in s)) for s in sets if i in s)
        for i in everyone
    ]
    np.testing.assert_allclose(holm(np.array(p_values)), expected, rtol=1e-12)


def test_few_reports_claim_what_is_not_so():
    """Five arms without an effect against one baseline, of which all share the noise."""
    rng, false = np.random.default_rng(1), 0
    for _ in range(ROUNDS):
        arms = [table(rng, 5, 60, 0.05, 0.1, 0.3) for _ in range(6)]
        p = holm(np.array([two_way_t(arm - arms[0]).p for arm in arms[1:]]))
        false += bool((p < 0.05).any())
    assert false / ROUNDS <= 0.05


@pytest.mark.parametrize("comparisons", [1, 5, 8])
@pytest.mark.parametrize("S", [2, 3, 5, 10, 25])
def test_the_smallest_effect_is_found_as_often_as_announced(S, comparisons):
    """One comparison among others is found at the first of Holm's steps."""
    rng, sd = np.random.default_rng(S), 0.02
    effect = smallest_effect(sd, S, comparisons=comparisons)
    draws = effect + sd * rng.normal(size=(20_000, S))
    t = draws.mean(1) / (draws.std(1, ddof=1) / math.sqrt(S))
    limit = stats.t.ppf(1 - 0.05 / comparisons / 2, S - 1)
    assert np.mean(np.abs(t) > limit) == pytest.approx(0.8, abs=0.01)
    needed = partial(seeds_needed, sd, comparisons=comparisons)
    assert needed(effect * 1.0001) == S and needed(-effect * 0.9999) == S + 1


def test_as_many_seeds_as_announced_find_the_effect_where_examples_are_few():
    rng, N, noise = np.random.default_rng(0), 100, (0.1, 0.15, 0.3)
    sd, floor = math.hypot(0.1, 0.3 / math.sqrt(N)), 0.15 / math.sqrt(N)
    S = seeds_needed(sd, 0.07, floor=floor)
    found = [two_way_t(0.07 + table(rng, S, N, *noise)).p < 0.05 for _ in range(ROUNDS)]
    assert np.mean(found) == pytest.approx(0.8, abs=0.05)
    # What an interval says of its own noise is what it was made with.
    many = two_way_t(table(rng, 400, 4000, *noise))
    assert many.sd == pytest.approx(0.1, rel=0.1)
    assert many.floor == pytest.approx(0.15 / math.sqrt(4000), rel=0.1)


def test_what_no_number_of_seeds_finds():
    assert seeds_needed(1.0, 0.2, floor=0.1) is None and seeds_needed(1.0, 0.0) is None
    assert seeds_needed(0.0, 0.2) == 2 and smallest_effect(0.0, 3) == 0.0
    assert seeds_needed(1.0, 0.0078) is None  # 129,000
    assert seeds_needed(1.0, 0.01) == pytest.approx(((1.96 + 0.8416) / 0.01) ** 2, rel=1e-3)


def test_signal_to_noise():
    scores = np.array([[1.0, 1.2], [2.0, 1.8], [0.0, 0.0]])
    assert signal_to_noise(scores) == pytest.approx(1.9 / math.sqrt((0.02 + 0.02 + 0) / 3))
    assert signal_to_noise(np.array([[1.0, 1.0], [2.0, 2.0]])) == math.inf


def test_what_is_said():
    def said(difference, half, **options):
        found = Interval(
            difference, difference - half, difference + half, options.pop("own", 0.01), 4, 5, 0.02
        )
        return sentence(found, "no-nsp", "nsp", "nats a piece", **options)

    assert said(0.1, 0.05) == (
        "no-nsp is better by 0.1 nats a piece (no-nsp − nsp: 95 % interval 0.05 to 0.15, p = 0.01)"
    )
    assert said(-0.1, 0.05).startswith("nsp is better by 0.1")
    assert said(-0.1, 0.05, better="low").startswith("no-nsp is better by 0.1")
    assert said(0.01, 0.02, own=0.3) == (
        "not resolvable at this budget: no-nsp − nsp is 0.01 nats a piece (95 % interval −0.01 to "
        "0.03, p = 0.3); about 34 seeds would be needed"
    )
    # One comparison of many: more seeds than there are, whatever one alone would need.
    assert "about 6 seeds" in said(0.1, 0.05, p=0.06)
    assert "more examples are needed" in said(0.0, 0.02, own=1.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: paired_t(np.ones(1)), "1 seeds: .* from 2 seeds on"),
        (lambda: two_way_t(np.ones((1, 9))), "1 seeds: .* from 2 seeds on"),
        (lambda: two_way_t(np.ones((3, 0))), "0 examples"),
        (lambda: paired_t(np.array([1.0, np.nan, np.inf])), "2 of 3 scores are not finite"),
        (lambda: metric_t(f1, np.ones((2, 1, 3)), np.ones((2, 1, 3))), "1 examples"),
        (lambda: holm(np.array([0.1, np.nan])), "a p-value of nan"),
        (lambda: smallest_effect(1.0, 1), "1 seeds"),
        (lambda: smallest_effect(-1.0, 3), "a standard deviation of -1.0"),
        (lambda: smallest_effect(1.0, 3, power=1.0), "a power of 1.0"),
        (lambda: seeds_needed(1.0, math.nan), "an effect of nan"),
        (lambda: signal_to_noise(np.ones((2, 1))), r"scores \[2, 1\]"),
    ],
)
def test_what_has_no_answer_is_refused(call, message):
    with pytest.raises(UserError, match=message):
        call()
