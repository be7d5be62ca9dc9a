"""Training by the clock: it ends on time, whatever the speed, and can be repeated without one."""

from __future__ import annotations

import json
import time
from itertools import pairwise

import pytest
import tiny_run
from hypothesis import given, settings
from hypothesis import strategies as st

from bertjax.cli.main import main
from bertjax.config import DataConfig, OptimConfig, Phase, PretrainConfig, TrainConfig
from bertjax.errors import EXIT_BAD_INPUT, UserError
from bertjax.optim.schedules import learning_rate
from bertjax.train.pace import Recorded, Stretch, Timed, make_pace

EVERY = 5


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def config(minutes: float = 1.0, shares: tuple[float, ...] = (1.0,)) -> PretrainConfig:
    phases = tuple(Phase(fraction=share) for share in shares)
    train = TrainConfig(steps=10_000, minutes=minutes, log_every=EVERY)
    return PretrainConfig(data=DataConfig(phases=phases), train=train)


def go(pace: Recorded, phases: int, clock: Clock, seconds, step: int = 0, stop: int = 10**6):
    """Take steps of `seconds(step)` as the loop does; returns the place of each, and the phase."""
    places = []
    for phase in range(phases):
        if step < stop and not pace.is_over(phase, step):
            pace.start(phase, step)
            clock.now += 7.0  # compiling
            over = False
            while not over and step < stop:
                places.append((phase, pace.position(step)))
                clock.now += seconds(step)
                step += 1
                over = pace.is_over(phase, step)
    return places


@settings(max_examples=25)
@given(
    speeds=st.lists(st.floats(0.03, 0.5), min_size=1, max_size=8),
    first=st.floats(0.1, 0.9),
)
def test_it_ends_on_time_at_any_speed_and_repeats_without_a_clock(speeds, first):
    """A step and the steps between two looks at the clock are what it can be late by."""
    clock, cfg = Clock(), config(shares=(first, 1 - first))
    pace = make_pace(cfg, clock)
    assert isinstance(pace, Timed)
    places = go(pace, 2, clock, lambda step: speeds[step // 20 % len(speeds)])
    positions = [place for _, place in places]
    assert all(a <= b for a, b in pairwise(positions)) and positions[0] == 0
    assert positions[-1] == pytest.approx(cfg.train.steps - 1)  # where the rate is the last one
    assert 60 - EVERY * 0.5 <= clock.now - 100 <= 60 + 7 + 3 * EVERY * 0.5
    behind = [pace.progress(step) * cfg.train.steps for step in range(len(places))]
    assert [phase for phase, _ in places] == [
        int(steps >= round(first * cfg.train.steps) - 1e-4) for steps in behind
    ]
    assert pace.has_ended(len(places)) and not pace.has_ended(len(places) - 1)
    # Compiling for the second phase may take all the time there is.
    assert not any("no step" in clause for clause in pace.left_out())
    # What comes after the last step is said, where it is more than a person expects.
    clock.now = 100 + 60 + 2
    assert not any("beyond the end" in clause for clause in pace.left_out())
    clock.now += 70
    assert "took 1:12 beyond the end of train.minutes, for its last step" in pace.left_out()[-1]
    again = Recorded(cfg, pace.stretches)
    assert again.steps_left(10) == pytest.approx(len(places) - 10)
    assert go(again, 2, Clock(), lambda _: 1.0) == places


def test_a_steady_run_goes_through_its_schedule_evenly():
    clock = Clock()
    pace = make_pace(config(), clock)
    places = [place for _, place in go(pace, 1, clock, lambda _: 0.1)]
    assert len(places) == pytest.approx(530, abs=2)  # 60 s, 7 of which compile
    known = places[2:]
    assert max(b - a for a, b in pairwise(known)) < 1.02 * min(b - a for a, b in pairwise(known))


def test_what_a_resumed_run_has_spent_counts():
    cfg, clock = config(), Clock()
    pace = make_pace(cfg, clock)
    places = go(pace, 1, clock, lambda _: 0.1, stop=203)
    meta = json.loads(json.dumps(pace.meta()))
    assert meta["seconds_left"] == pytest.approx(60 - 7 - 20.3)
    clock.now += 1e6  # nobody trains
    resumed = make_pace(cfg, clock)
    assert isinstance(resumed, Timed)
    resumed.restore(meta)
    places += go(resumed, 1, clock, lambda _: 0.1, step=203)
    assert len(places) == pytest.approx(460, abs=3)
    assert all(a <= b for a, b in pairwise(place for _, place in places))
    assert go(Recorded(cfg, resumed.stretches), 1, Clock(), lambda _: 1.0) == places


def test_a_slow_run_moves_through_its_schedule_from_its_third_step():
    clock = Clock()
    places = [place for _, place in go(make_pace(config(), clock), 1, clock, lambda _: 9.0)]
    assert len(places) == 6  # 60 s, 7 of which compile
    assert places[:3] == [0, 0, 0] and all(a < b for a, b in pairwise(places[2:]))
    assert places[-1] == 9_999
    optim = OptimConfig(learning_rate=1.0, schedule="wsd", final_fraction=0.1)
    assert float(learning_rate(optim, 10_000)(places[-1])) == pytest.approx(0.1, abs=1e-7)


def test_a_slow_run_is_saved_every_ten_minutes():
    """Where a checkpoint every thousand steps is none."""
    clock, saved = Clock(), []
    pace = make_pace(config(minutes=60), clock)
    pace.start(0, 0)
    for step in range(1, 100):
        clock.now += 30.0
        pace.is_over(0, step)
        if pace.save_due(step):
            saved.append(step)
    assert saved == [20, 40, 60, 80]  # of the looks at every fifth step


def test_a_run_that_never_gets_to_measure_itself_ends_nonetheless():
    clock = Clock()
    pace = make_pace(config(minutes=0.2, shares=(0.5, 0.5)), clock)
    places = [place for _, place in go(pace, 2, clock, lambda _: 30.0)]
    assert places == [0, 9_999] and pace.has_ended(2)
    skipped, leap, late = pace.left_out()
    assert late.startswith("the run took 0:55 beyond the end of train.minutes")
    assert "data.phases.1 had no step" in skipped
    assert "over at 0.0% of the schedule" in leap and "train.minutes" in leap


def test_time_that_is_over_before_the_first_step_makes_one_that_can_be_repeated(tmp_path):
    clock = Clock()
    pace = make_pace(config(minutes=0.1), clock)
    clock.now += 60.0  # the state was made on a machine with more to do
    places = go(pace, 1, clock, lambda _: 1.0)
    assert places == [(0, 0.0)] and pace.has_ended(1)
    (tmp_path / "pace.json").write_text(json.dumps(pace.meta()))
    again = make_pace(PretrainConfig(train=TrainConfig(pace=str(tmp_path))))
    assert go(again, 1, Clock(), lambda _: 1.0) == places


@pytest.mark.slow
def test_phases_too_short_for_a_step_are_named_and_the_run_is_evaluated(recipe, corpus, tmp_path):
    phases = [{"seq_len": 16, "batch_size": 8, "fraction": f} for f in (0.9, 0.1)]
    argv = tiny_run.pretrain_argv(tmp_path / "run", recipe, corpus, "train.steps=3")
    said = tiny_run.finish(tiny_run.start([*argv, f"data.phases={json.dumps(phases)}"]))
    assert "note   data.phases.1 had no step" in said and "eval   step 3 " in said
    written = [(line["kind"], line["step"]) for line in tiny_run.metrics(tmp_path / "run")]
    states = [("state", 0), ("state", 3)]
    assert [line for line in written if line not in states] == [("train", 3), ("evaluation", 3)]


@pytest.mark.parametrize(
    "text", ["", "{}", '{"stretches": []}', '{"stretches": [[0, 0, 0]]}', '{"stretches": [[1]]}']
)
def test_a_file_that_is_no_pace_is_refused(text, tmp_path):
    (tmp_path / "pace.json").write_text(text)
    cfg = PretrainConfig(train=TrainConfig(pace=str(tmp_path)))
    with pytest.raises(UserError, match="holds no pace"):
        make_pace(cfg)


def test_a_run_that_goes_on_has_the_pace_it_repeats_itself(tmp_path):
    """Whatever it is called, and where it is gone; another one is refused."""
    theirs = tmp_path / "pace.json"
    cfg = PretrainConfig(train=TrainConfig(pace=str(theirs)))
    theirs.write_text('{"stretches": [[0, 0.0, 0.1], [5, 0.5, 0.25]]}')
    first = make_pace(cfg)
    first.start(0, 0)
    meta = json.loads(json.dumps(first.meta()))
    assert make_pace(cfg, before=meta).stretches == first.stretches
    theirs.write_text('{"stretches": [[0, 0.0, 0.1], [5, 0.5, 0.5]]}')
    with pytest.raises(UserError, match="holds another pace than the run goes by"):
        make_pace(cfg, before=meta)
    theirs.unlink()
    assert make_pace(cfg, before=meta).stretches == first.stretches
    with pytest.raises(UserError, match="holds no pace"):
        make_pace(cfg)


@pytest.mark.slow
def test_a_run_by_the_clock_is_repeated_bit_for_bit(recipe, corpus, tmp_path, capfd):
    """The first is killed on its way and resumed."""
    timed, again = tmp_path / "timed", tmp_path / "again"
    argv = tiny_run.pretrain_argv(timed, recipe, corpus, "train.minutes=0.2")
    began = time.monotonic()
    process = tiny_run.start(argv)
    while tiny_run.newest_step(timed / "checkpoints") is None and process.poll() is None:
        assert time.monotonic() - began < 240
        time.sleep(0.05)
    process.kill()
    process.communicate()
    said = tiny_run.finish(tiny_run.start(argv))
    assert "train  0.2 minutes, then evaluation and saving, adamw" in said

    pace = Recorded(tiny_run.stored_config(timed), _stretches(timed))
    assert pace.progress(tiny_run.newest_step(timed / "checkpoints")) >= 1 - 1e-9
    tiny_run.finish(
        tiny_run.start(tiny_run.pretrain_argv(again, recipe, corpus, f"train.pace={timed}"))
    )
    tiny_run.assert_same_bits(tiny_run.state(timed), tiny_run.state(again))
    timed = timed.rename(tmp_path / "moved")
    for path in (timed, tmp_path / "gone"):
        words = tiny_run.pretrain_argv(again, recipe, corpus, f"train.pace={path}")
        tiny_run.finish(tiny_run.start(words))

    both = tiny_run.pretrain_argv(tmp_path / "x", recipe, corpus, "train.minutes=1", "train.pace=y")
    assert main(both) == EXIT_BAD_INPUT
    assert "give one of them" in capfd.readouterr().err


def _stretches(run) -> list[Stretch]:
    return [Stretch(*s) for s in json.loads((run / "pace.json").read_text())["stretches"]]
