"""Learning rates where a schedule bends, against transformers', and bounds everywhere."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bertjax.config import OptimConfig, PretrainConfig
from bertjax.config.optim import SCHEDULES
from bertjax.errors import UserError
from bertjax.optim.schedules import Turns, learning_rate, turns
from bertjax.recipes.files import load_config

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
PEAK = 1e-3
STEPS, WARMUP = 1000, 100


def rates(schedule: str, steps: np.ndarray | list[int], **options) -> np.ndarray:
    cfg = OptimConfig(
        learning_rate=PEAK, schedule=schedule, **{"warmup_fraction": WARMUP / STEPS} | options
    )
    return np.asarray(learning_rate(cfg, STEPS)(np.asarray(steps))) / PEAK


@pytest.mark.parametrize("schedule", [name for name in SCHEDULES if name != "slanted"])
def test_warm_up_is_linear_starts_above_zero_and_ends_at_the_peak(schedule):
    warming = rates(schedule, np.arange(WARMUP + 1))
    np.testing.assert_allclose(warming[:WARMUP], np.arange(1, WARMUP + 1) / WARMUP, rtol=1e-6)
    assert warming[WARMUP] == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize(
    ("schedule", "options", "middle", "before_last"),
    [
        ("linear", {}, 450 / 899, 1 / 899),
        ("polynomial", {"power": 2.0}, (450 / 899) ** 2, (1 / 899) ** 2),
        ("polynomial", {"power": 0.5}, (450 / 899) ** 0.5, (1 / 899) ** 0.5),
        ("cosine", {}, 0.5 * (1 + math.cos(math.pi * 449 / 899)), 0.0),
        ("wsd", {"decay_fraction": 0.2}, 1.0, 1 / 200),
        ("constant", {}, 1.0, 1.0),
        ("linear", {"final_fraction": 0.1}, 0.1 + 0.9 * 450 / 899, 0.1 + 0.9 / 899),
    ],
)
def test_middle_and_last_rates(schedule, options, middle, before_last):
    found = rates(schedule, [549, STEPS - 2, STEPS - 1], **options)
    last = 1.0 if schedule == "constant" else options.get("final_fraction", 0.0)
    np.testing.assert_allclose(found[:2], [middle, before_last], rtol=1e-4, atol=4e-6)
    assert found[2] == pytest.approx(last, abs=1e-9)


def test_wsd_is_flat_and_falls_in_its_share_of_the_steps():
    found = rates("wsd", np.arange(WARMUP, STEPS), decay_fraction=0.2, final_fraction=0.5)
    np.testing.assert_array_equal(found[:700], 1.0)
    np.testing.assert_allclose(found[700:], 1 - 0.5 * np.arange(1, 201) / 200, rtol=1e-5)
    cfg = OptimConfig(learning_rate=1.0, schedule="wsd", final_fraction=0.1)
    found = learning_rate(cfg, 20)(np.arange(15, 20))
    np.testing.assert_allclose(found, [1, 0.775, 0.55, 0.325, 0.1], rtol=1e-6)


def test_slanted_triangular_rates_are_those_of_ulmfit():
    """Howard & Ruder (2018), section 3.2, for t from 0 to T: our last step is number T."""
    T, cut_frac, ratio = 200, 0.1, 32
    cut = int(T * cut_frac)
    t = np.arange(T + 1)
    p = np.where(t < cut, t / cut, 1 - (t - cut) / (cut * (1 / cut_frac - 1)))
    cfg = OptimConfig(schedule="slanted", warmup_fraction=cut_frac, final_fraction=1 / ratio)
    found = np.asarray(learning_rate(cfg, T + 1)(t)) / cfg.learning_rate
    np.testing.assert_allclose(found, (1 + p * (ratio - 1)) / ratio, rtol=1e-5)
    np.testing.assert_allclose(found[[0, cut, T]], [1 / 32, 1, 1 / 32], rtol=1e-6)
    with pytest.raises(UserError, match=r"final_fraction=0 .* use 0\.03125"):
        OptimConfig(schedule="slanted")


def test_decay_from_zero_has_berts_kink():
    """google-research/bert optimization.py: polynomial_decay from step 0, masked by warm-up.

    Theirs would be at its end in step 1,000, ours is there in step 999, which is the last.
    """
    at = np.array([WARMUP - 1, WARMUP, 500, STEPS - 1])
    for steps, last in ((STEPS, 0.0), (STEPS + 1, 1 / STEPS)):
        cfg = OptimConfig(learning_rate=1.0, warmup_fraction=WARMUP / STEPS, decay_from_zero=True)
        berts = [1.0, 1 - WARMUP / (steps - 1), 1 - 500 / (steps - 1), last]
        np.testing.assert_allclose(learning_rate(cfg, steps)(at), berts, rtol=1e-4, atol=1e-9)


def test_decay_from_zero_is_nvidias_poly_warm_up():
    """DeepLearningExamples schedulers.py: (1 - progress) ** 0.5 past warm-up."""
    found = rates("polynomial", [WARMUP, 750], decay_from_zero=True, power=0.5)
    np.testing.assert_allclose(found, [(1 - 100 / 999) ** 0.5, (1 - 750 / 999) ** 0.5], rtol=1e-5)


@pytest.mark.parametrize("steps", [2, 7, 50])
@pytest.mark.parametrize("warmup", [0.0, 0.3])
@pytest.mark.parametrize(
    ("schedule", "options", "name", "theirs"),
    [
        ("linear", {}, "linear", {}),
        ("cosine", {}, "cosine", {}),
        (
            "polynomial",
            {"power": 2.0, "final_fraction": 0.1},
            "polynomial",
            {"power": 2.0, "lr_end": 0.1 * PEAK},
        ),
        ("cosine", {"final_fraction": 0.1}, "cosine_with_min_lr", {"min_lr_rate": 0.1}),
        (
            "wsd",
            {"decay_fraction": 0.4},  # their warm-up would begin at the end value too
            "warmup_stable_decay",
            {"decay_type": "linear"},
        ),
    ],
)
def test_it_is_transformers_with_the_end_one_step_sooner(
    schedule, options, name, theirs, warmup, steps
):
    """Warm-up begins one step further on; after it the same, of a run that is a step shorter."""
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    cfg = OptimConfig(learning_rate=PEAK, schedule=schedule, warmup_fraction=warmup, **options)
    warming = min(round(warmup * steps), steps - 2)
    if schedule == "wsd":
        falling = min(max(1, round(cfg.decay_fraction * steps)), steps - 1 - warming)
        theirs = theirs | {"num_decay_steps": falling}
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=PEAK)
    scheduler = transformers.get_scheduler(
        name,
        optimizer,
        num_warmup_steps=warming,
        num_training_steps=steps - 1,
        scheduler_specific_kwargs=theirs,
    )
    expected = []
    for _ in range(steps):
        expected.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    expected[:warming] = [*expected[1:warming], PEAK][:warming]
    found = np.asarray(learning_rate(cfg, steps)(np.arange(steps)))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-9)


@st.composite
def schedules(draw) -> OptimConfig:
    """Any that is allowed."""
    schedule = draw(st.sampled_from(SCHEDULES))
    warmup = draw(st.floats(0, 1, exclude_max=schedule != "constant"))
    return OptimConfig(
        learning_rate=PEAK,
        schedule=schedule,
        warmup_fraction=warmup,
        decay_fraction=draw(
            st.floats(0, 1 - warmup, exclude_min=True)
            if schedule == "wsd" and warmup < 1
            else st.just(0.2)
        ),
        power=draw(st.floats(0.25, 4)),
        final_fraction=draw(st.floats(0, 1, exclude_min=schedule == "slanted")),
        decay_from_zero=schedule != "slanted" and draw(st.booleans()),
    )


@given(cfg=schedules(), steps=st.integers(2, 500))
@settings(max_examples=150)
def test_every_schedule_rises_to_the_peak_falls_to_its_end_and_does_not_jump(cfg, steps):
    """At whole steps, and at the fractions that runs by the clock are at."""
    last = steps - 1
    warming = round(cfg.warmup_fraction * steps)
    if cfg.schedule != "constant":
        warming = min(warming, last - 1)
    rate = learning_rate(cfg, steps)
    # One shape for all examples, so that nothing is compiled twice.
    whole = np.asarray(rate(np.minimum(np.arange(500), last)))[:steps] / PEAK
    places = np.linspace(0, last, 2000, dtype=np.float32)
    between = np.asarray(rate(places)) / PEAK
    first = cfg.final_fraction if cfg.schedule == "slanted" and warming else 1 / max(1, warming)
    assert whole[0] == pytest.approx(first, rel=1e-6)
    end = 1.0 if cfg.schedule == "constant" else cfg.final_fraction
    assert whole[-1] == between[-1] == pytest.approx(end, abs=1e-7)
    for found, at in ((whole, np.arange(steps)), (between, places)):
        assert np.isfinite(found).all()
        assert (found >= min(end, first) - 1e-6).all() and (found <= 1 + 1e-6).all()
        assert (np.diff(found[at < warming]) >= -1e-6).all()
        assert (np.diff(found[at >= warming]) <= 1e-6).all()
    assert whole.max() == pytest.approx(1.0, abs=1e-6)
    if cfg.decay_from_zero:
        return
    falling = last - warming
    if cfg.schedule == "wsd":
        falling = min(falling, max(1, round(cfg.decay_fraction * steps)))
    power = cfg.power if cfg.schedule == "polynomial" else 1.0

    def bound(stride: float) -> float:
        """What the rate may change by in so many steps: x^p is steepest at one of its ends."""
        part = min(1.0, stride / max(1, falling))
        fall = {"cosine": math.pi / 2 * part}.get(cfg.schedule, max(power * part, part**power))
        return max(stride / max(1, warming), fall) + 2e-6

    assert np.abs(np.diff(whole)).max() <= bound(1.0)
    assert np.abs(np.diff(between)).max() <= bound(np.diff(places).max())


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_run_of_one_step_takes_it_at_the_peak(schedule):
    cfg = OptimConfig(learning_rate=1.0, schedule=schedule, final_fraction=0.1)
    assert float(learning_rate(cfg, 1)(0)) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"warmup_fraction": 1.0}, ("warmup_fraction=1", "final_fraction=0")),
        (
            {"schedule": "cosine", "warmup_fraction": 1.0, "final_fraction": 0.1},
            ("warmup_fraction=1", "final_fraction=0.1"),
        ),
        (
            {"schedule": "wsd", "warmup_fraction": 0.5, "decay_fraction": 0.7},
            ("warmup_fraction=0.5", "decay_fraction=0.7"),
        ),
        ({"schedule": "wsd", "decay_fraction": 0.0}, ("decay_fraction=0", "final_fraction=0")),
        ({"schedule": "polynomial", "power": 0.0}, ("power=0", "final_fraction=0")),
    ],
)
def test_a_schedule_that_cannot_get_to_its_end_is_refused(options, names):
    with pytest.raises(UserError) as caught:
        OptimConfig(**options)
    assert all(f"optim.{name} " in f"{caught.value}:".replace(":", " ") for name in names)
    OptimConfig(**options | {"schedule": "constant"})


@settings(max_examples=60)
@given(st.sampled_from(SCHEDULES), st.integers(1, 300), st.sampled_from([0.0, 0.06, 0.5]))
def test_turns_as_data_give_the_same_rates(schedule, steps, warmup):
    cfg = replace(BARE[schedule], warmup_fraction=warmup)
    at, data = np.arange(300), Turns(*map(np.float32, turns(cfg, steps)))
    found = TRACED[schedule](data, at)
    np.testing.assert_allclose(found, learning_rate(cfg, steps)(at), rtol=1e-6, atol=1e-12)


BARE = {
    schedule: OptimConfig(learning_rate=PEAK, schedule=schedule, final_fraction=0.1)
    for schedule in SCHEDULES
}
TRACED = {
    schedule: jax.jit(lambda data, at, schedule=schedule: learning_rate(BARE[schedule], data)(at))
    for schedule in SCHEDULES
}


@pytest.mark.parametrize(("name", "tokens"), [("modernbert_base", 3e9), ("modernbert_large", 2e9)])
def test_modernbert_warms_up_over_as_many_tokens_as_published(name, tokens):
    cfg = load_config(CONFIGS / f"{name}.py", PretrainConfig)
    (phase,) = cfg.data.phases
    of_a_step = phase.batch_size * phase.seq_len
    assert cfg.optim.warmup_fraction * cfg.train.steps * of_a_step == pytest.approx(tokens)
