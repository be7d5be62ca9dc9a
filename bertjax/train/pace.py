"""How far a run has come at each step, and when its phases end: by steps, or by the clock.

A run of `train.minutes` looks at the clock every `log_every` steps, and after 1, 2, 4, 8, ... steps
of a phase, works out how many more steps the time left will do, and goes through the rest of its
schedule evenly in these. What it decides is a list of `Stretch`es, kept in the checkpoints and in
`pace.json`. A run with `train.pace=` that run follows them without a clock, and so gets the same
parameters, bit for bit.
"""
# ruff: noqa: D102 (what the methods mean is said once, in Pace)

from __future__ import annotations

import json
import math
import time
from bisect import bisect_right
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from bertjax import cluster, written
from bertjax.config import PhaseSchedule, PretrainConfig
from bertjax.errors import UserError
from bertjax.terminal import duration

_ANY_NUMBER = 2**31  # of steps: more than a run by the clock can take
_SAME_PACE = 1e-3  # change of speed that is not worth a stretch
_ROUNDING = 1e-9  # what so many additions may be short of 1
_SAVE_SECONDS = 600  # what a run by the clock may lose, beside checkpoints every so many steps
_MUCH = 0.05  # of the minutes: more than that behind them is said
_LEAP = 0.05  # share of the schedule that is too much for one step not to be told


class Pace(Protocol):
    """What the loop asks."""

    def start(self, phase: int, step: int) -> range:
        """Begin, or go on with, a phase at `step`: the steps it has, as far as is known."""

    def is_over(self, phase: int, step: int) -> bool:
        """Whether `step` is past the phase; to be asked once at each step, in order."""

    def has_ended(self, step: int) -> bool:
        """Whether no phase has anything left, by what is known at `step`."""

    def save_due(self, step: int) -> bool:
        """Whether so much time has passed that there should be a checkpoint at `step`."""

    def left_out(self) -> list[str]:
        """What the run, which has ended, did not do of what its config says; a clause each."""

    def position(self, step: int) -> float | None:
        """The place of a step in a schedule of `train.steps`; None: the number of updates.

        The first step of a run is at 0 and its last one at `train.steps` − 1, as those of a run of
        so many steps are.
        """

    def steps_left(self, step: int) -> float | None:
        """How many more there will be; None while that is not known."""

    def describe(self, step: int) -> str:
        """`step 5/24` or `step 5 (3.1%)`."""

    def meta(self) -> dict[str, Any] | None:
        """What a resumed run needs, JSON values; None for nothing."""

    def restore(self, meta: dict[str, Any] | None) -> None:
        """Go on from what `meta` returned."""


def make_pace(
    cfg: PretrainConfig,
    clock: Callable[[], float] = time.monotonic,
    before: dict[str, Any] | None = None,
) -> Pace:
    """The pace that the config asks for; `before` is the `meta` of a run that goes on.

    A run that repeats another one's has it in its checkpoints, and needs that run no more.

    Raises:
        UserError: `train.pace` holds no pace, or another one than the run goes by.
    """
    if cfg.train.pace:
        return Recorded(cfg, _repeated(Path(cfg.train.pace), before))
    return Timed(cfg, clock) if cfg.train.minutes else Stepped(cfg)


def pace_again(cfg: PretrainConfig, meta: dict[str, Any] | None) -> Pace:
    """The pace of a run that has returned `meta` last, without its clock."""
    return Stepped(cfg) if meta is None else Recorded(cfg, _stretches(meta))


class Stepped:
    """`train.steps` of them."""

    def __init__(self, cfg: PretrainConfig):
        self.schedule = PhaseSchedule.plan(cfg.data, cfg.train.steps)

    def start(self, phase: int, step: int) -> range:
        return self.schedule.steps(phase)

    def is_over(self, phase: int, step: int) -> bool:
        return step >= self.schedule.ends[phase]

    def has_ended(self, step: int) -> bool:
        return step >= self.schedule.ends[-1]

    def save_due(self, step: int) -> bool:
        return False

    def left_out(self) -> list[str]:
        phases = range(len(self.schedule.ends))
        return [_no_step_of(phase) for phase in phases if not self.schedule.steps(phase)]

    def position(self, step: int) -> None:
        return None

    def steps_left(self, step: int) -> float:
        return self.schedule.ends[-1] - step

    def describe(self, step: int) -> str:
        end = self.schedule.ends[-1]
        return f"step {step:>{len(str(end))}}/{end}"

    def meta(self) -> None:
        return None

    def restore(self, meta: dict[str, Any] | None) -> None:
        pass


class Stretch(NamedTuple):
    """Steps that go through the schedule evenly."""

    step: int  # the first
    progress: float  # share of the schedule behind it
    per_step: float


class Recorded:
    """The stretches of another run."""

    def __init__(self, cfg: PretrainConfig, stretches: list[Stretch]):
        self.steps = cfg.train.steps
        self.ends = [end / self.steps for end in PhaseSchedule.plan(cfg.data, self.steps).ends]
        self.stretches = stretches
        self.starts: dict[str, int] = {}  # phase -> its first step

    def start(self, phase: int, step: int) -> range:
        first = self.starts.setdefault(str(phase), step)
        return range(first, first + _ANY_NUMBER)

    def is_over(self, phase: int, step: int) -> bool:
        return self.progress(step) >= self.ends[phase] - _ROUNDING

    def has_ended(self, step: int) -> bool:
        return self.progress(step) >= 1 - _ROUNDING

    def save_due(self, step: int) -> bool:
        return False

    def left_out(self) -> list[str]:
        clauses = [_no_step_of(p) for p in range(len(self.ends)) if str(p) not in self.starts]
        before, last = [Stretch(0, 0.0, 0.0), *self.stretches][-2:]
        only_step = last.progress + last.per_step >= 1 - _ROUNDING
        if only_step and last.per_step > max(_LEAP, 2 * before.per_step):
            clauses.append(
                f"the time was over at {last.progress:.1%} of the schedule, and one step had to be "
                "the rest of it: give more train.minutes"
            )
        return clauses

    def progress(self, step: int) -> float:
        """Share of the schedule behind a step."""
        at = self._stretch(step)
        return at.progress + (step - at.step) * at.per_step

    def position(self, step: int) -> float:
        before_last = 1 - self._stretch(step).per_step  # what is behind the last step at this pace
        if before_last < _ROUNDING:
            return float(self.steps - 1) if step else 0.0
        return min(1.0, self.progress(step) / before_last) * (self.steps - 1)

    def _stretch(self, step: int) -> Stretch:
        return self.stretches[bisect_right(self.stretches, step, key=lambda s: s.step) - 1]

    def steps_left(self, step: int) -> float | None:
        last = self.stretches[-1]
        if not last.per_step:
            return None
        return max(0.0, last.step + (1 - last.progress) / last.per_step - step)

    def describe(self, step: int) -> str:
        return f"step {step} ({min(1.0, self.progress(step)):.1%})"

    def meta(self) -> dict[str, Any]:
        return {"stretches": self.stretches, "starts": self.starts}

    def restore(self, meta: dict[str, Any] | None) -> None:
        assert meta is not None, "a run by the clock says how far it is"
        self.starts = dict(meta["starts"])


class Timed(Recorded):
    """So many minutes, those of all starts of the run together."""

    def __init__(self, cfg: PretrainConfig, clock: Callable[[], float]):
        super().__init__(cfg, [Stretch(0, 0.0, 0.0)])
        self.clock = clock
        self.every = cfg.train.log_every
        self.limit = self.left_at_start = 60 * cfg.train.minutes
        self.began = clock()
        self.saved = (0, self.began)  # when a checkpoint was last due by the clock: step, time
        self.compiled_at = 0  # the first step of a phase, or since the run was resumed
        self.measured_from: tuple[int, float] | None = None  # a step, and when it began

    def start(self, phase: int, step: int) -> range:
        self.compiled_at, self.measured_from = step, None
        return super().start(phase, step)

    def is_over(self, phase: int, step: int) -> bool:
        # Slow machines may not have `every` steps to spare before the schedule moves.
        if step % self.every == 0 or (step - self.compiled_at).bit_count() == 1:
            self._look(step)
        return super().is_over(phase, step)

    def save_due(self, step: int) -> bool:
        return 0 < step == self.saved[0]

    def left_out(self) -> list[str]:
        late = -self._left(self.clock())
        if late <= _MUCH * self.limit:
            return super().left_out()
        after = "of train.minutes, for its last step, evaluation and saving"
        return [*super().left_out(), f"the run took {duration(late)} beyond the end {after}"]

    def _look(self, step: int) -> None:
        """Begin a stretch at `step`, at the speed since the last compilation."""
        now = self.clock()
        left = self._left(now)
        steps = 0 if left > 0 else 1  # to go; 0: not known
        if self.measured_from is None:
            self.measured_from = (step, now)
        elif step > self.measured_from[0]:
            seconds = (now - self.measured_from[1]) / (step - self.measured_from[0])
            steps = max(1, math.ceil(left / seconds))
        save = now - self.saved[1] >= _SAVE_SECONDS
        # All processes go at the pace of the first one's clock.
        steps, save = json.loads(cluster.gather("pace", json.dumps([steps, save]))[0])
        if save:
            self.saved = (step, now)
        if not steps:
            return
        progress, last = self.progress(step), self.stretches[-1]
        if self.has_ended(step):
            return
        per_step = (1 - progress) / steps
        if abs(per_step - last.per_step) <= _SAME_PACE * last.per_step:
            return
        if last.step == step:
            self.stretches.pop()
        self.stretches.append(Stretch(step, progress, per_step))

    def _left(self, now: float) -> float:
        return self.left_at_start - (now - self.began)

    def meta(self) -> dict[str, Any]:
        return {**super().meta(), "seconds_left": self._left(self.clock())}

    def restore(self, meta: dict[str, Any] | None) -> None:
        super().restore(meta)
        assert meta is not None
        self.stretches = _stretches(meta)
        self.left_at_start, self.began = meta["seconds_left"], self.clock()


def _no_step_of(phase: int) -> str:
    return f"data.phases.{phase} had no step: the run is too short for its fraction"


def _repeated(path: Path, before: dict[str, Any] | None) -> list[Stretch]:
    if before is None:
        return _read(path)
    own = _stretches(before)
    if path.exists() and _read(path) != own:
        raise UserError(
            f"train.pace={path} holds another pace than the run goes by: give the one that it was "
            "started with, or another --workdir"
        )
    return own


_FORM = {"stretches": [[written.NUMBER, written.NUMBER, written.NUMBER]]}  # of pace.json


def _stretches(meta: dict[str, Any]) -> list[Stretch]:
    return [Stretch(int(s), float(p), float(d)) for s, p, d in meta["stretches"]]


def _read(path: Path) -> list[Stretch]:
    path = path / "pace.json" if path.is_dir() else path
    try:
        stretches = _stretches(written.read(path, _FORM))
        done = stretches[0][:2] == (0, 0.0) and stretches[-1].per_step > 0
    except (UserError, ValueError, OverflowError, IndexError):
        done = False
    if not done:
        raise UserError(
            f"train.pace={path} holds no pace: give the directory of a run of train.minutes that "
            "has ended, or its pace.json"
        )
    return stretches
