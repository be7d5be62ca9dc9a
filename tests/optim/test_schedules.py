"""Learning rates at the points where a schedule bends, and bounds everywhere."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bertjax.config import OptimConfig
from bertjax.config.optim import SCHEDULES
from bertjax.optim.schedules import learning_rate

PEAK = 1e-3
STEPS, WARMUP = 1000, 100


def rates(schedule: str, steps: np.ndarray | list[int], **options) -> np.ndarray:
    cfg = OptimConfig(
        learning_rate=PEAK, schedule=schedule, **{"warmup_fraction": WARMUP / STEPS} | options
    )
    return np.asarray(learning_rate(cfg, STEPS)(np.asarray(steps))) / PEAK


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_warm_up_is_linear_starts_above_zero_and_ends_at_the_peak(schedule):
    warming = rates(schedule, np.arange(WARMUP + 1))
    np.testing.assert_allclose(warming[:WARMUP], np.arange(1, WARMUP + 1) / WARMUP, rtol=1e-6)
    assert warming[WARMUP] == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize(
    ("schedule", "options", "middle", "last"),
    [
        ("linear", {}, 0.5, 1 / 900),
        ("polynomial", {"power": 2.0}, 0.25, (1 / 900) ** 2),
        ("polynomial", {"power": 0.5}, 0.5**0.5, (1 / 900) ** 0.5),
        ("cosine", {}, 0.5, 0.5 * (1 + math.cos(math.pi * 899 / 900))),
        ("wsd", {"decay_fraction": 0.2}, 1.0, 1 / 200),
        ("constant", {}, 1.0, 1.0),
        ("linear", {"final_fraction": 0.1}, 0.55, 0.1 + 0.9 / 900),
        ("cosine", {"final_fraction": 0.1}, 0.55, 0.1 + 0.45 * (1 + math.cos(math.pi * 899 / 900))),
    ],
)
def test_middle_and_last_rate(schedule, options, middle, last):
    found = rates(schedule, [(WARMUP + STEPS) // 2, STEPS - 1], **options)
    np.testing.assert_allclose(found, [middle, last], rtol=1e-4, atol=1e-7)


def test_wsd_is_flat_then_linear():
    found = rates("wsd", np.arange(WARMUP, STEPS), decay_fraction=0.2, final_fraction=0.5)
    np.testing.assert_array_equal(found[:700], 1.0)
    np.testing.assert_allclose(found[700:], 1 - 0.5 * np.arange(200) / 200, rtol=1e-5)


def test_decay_from_zero_has_berts_kink():
    """google-research/bert optimization.py: polynomial_decay from step 0, masked by warm-up."""
    at = np.array([WARMUP - 1, WARMUP, 500, STEPS - 1])
    found = rates("linear", at, decay_from_zero=True)
    np.testing.assert_allclose(found, [1.0, 1 - WARMUP / STEPS, 0.5, 1e-3], rtol=1e-4)


def test_decay_from_zero_is_nvidias_poly_warm_up():
    """DeepLearningExamples schedulers.py: (1 - progress) ** 0.5 past warm-up."""
    found = rates("polynomial", [WARMUP, 750], decay_from_zero=True, power=0.5)
    np.testing.assert_allclose(found, [0.9**0.5, 0.25**0.5], rtol=1e-5)


@given(
    schedule=st.sampled_from(SCHEDULES),
    steps=st.integers(1, 500),
    warmup=st.floats(0, 1),
    decay=st.floats(0, 1),
    power=st.floats(0, 4),
    final=st.floats(0, 1),
    from_zero=st.booleans(),
)
@settings(max_examples=100, deadline=None)
def test_rates_stay_between_zero_and_the_peak_and_never_rise_after_warm_up(
    schedule, steps, warmup, decay, power, final, from_zero
):
    cfg = OptimConfig(
        learning_rate=PEAK,
        schedule=schedule,
        warmup_fraction=warmup,
        decay_fraction=decay,
        power=power,
        final_fraction=final,
        decay_from_zero=from_zero,
    )
    # One shape for all examples, so that nothing is compiled twice.
    found = np.asarray(learning_rate(cfg, steps)(np.arange(500)))[:steps] / PEAK
    warming = round(warmup * steps)
    assert np.isfinite(found).all()
    assert (found >= 0).all() and (found <= 1 + 1e-6).all()
    assert (np.diff(found[:warming]) >= 0).all()
    assert (np.diff(found[warming:]) <= 1e-6).all()
    assert (found[warming:] >= final - 1e-6).all()
