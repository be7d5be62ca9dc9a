"""The models that are fused: which they are, and whether they say the same kind of thing.

A voice is a model, or the models of the folds of one seed together: each of these did not see a
part of the examples, and so together they predict every example unseen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from bertjax.errors import UserError
from bertjax.finetuning.member import Member
from bertjax.finetuning.saved import SavedRun
from bertjax.fuse.ways import Mean, Way
from bertjax.runs.same_run import fingerprint
from bertjax.tasks.families import task_of
from bertjax.tasks.task import Example, Scores, Task


@dataclass(frozen=True)
class Voice:
    """Models of one run that speak as one."""

    name: str
    run: SavedRun
    members: tuple[Member, ...]

    @property
    def task(self) -> Task:
        """The task as it judges what the voice says."""
        return self.run.judge(self.members)

    def fingerprints(self) -> list[str]:
        """Of the weights that the run holds of each model."""
        return [fingerprint(self.run.weights(member)) for member in self.members]


def said_by(voices: Sequence[Voice], examples: Sequence[Example]) -> list[list[Scores]]:
    """What each voice says of examples: the mean of its models. A run's models share one pass."""
    of_run: dict[Path, dict[Member, None]] = {}
    for voice in voices:
        of_run.setdefault(voice.run.path, {}).update(dict.fromkeys(voice.members))
    runs = {voice.run.path: voice.run for voice in voices}
    said: dict[Member, list[Scores]] = {}
    for path, members in of_run.items():
        said |= zip(members, runs[path].scores(list(members), examples), strict=True)
    return [
        voice.task.combine([said[m] for m in voice.members], [1.0] * len(voice.members))
        for voice in voices
    ]


class Judged(NamedTuple):
    """What a voice, or several together, say of examples, and the task that judges it."""

    name: str
    task: Task
    scores: list[Scores]


@dataclass(frozen=True)
class Fusion:
    """Voices, and the way in which they become one."""

    voices: tuple[Voice, ...]
    way: Way
    null_threshold: float = 0.0  # of all together (`SavedRun.null_threshold`)

    @property
    def task(self) -> Task:
        """The task as it judges what all voices say together."""
        cfg = self.voices[0].run.cfg
        return task_of(cfg, cfg.task.labels, self.null_threshold)

    def judged_by(self, positive: str) -> Fusion:
        """The same, with the F1 of the class `positive` (`task.positive`)."""
        voices = (replace(voice, run=voice.run.judged_by(positive)) for voice in self.voices)
        return replace(self, voices=tuple(voices))

    def judge(self, examples: Sequence[Example]) -> tuple[list[Judged], Judged]:
        """What each voice says of examples, and all together."""
        many = said_by(self.voices, examples)
        named = [Judged(v.name, v.task, s) for v, s in zip(self.voices, many, strict=True)]
        return named, Judged("together", self.task, self.way.combine(self.task, many))


def at_once(runs: Sequence[SavedRun], weights: Sequence[float], every: bool) -> Fusion:
    """The runs' models averaged, each model a voice.

    `weights` has one a run (empty: all equal); a run's models share its weight. With `every` all
    models of each run take part, else its best one, or of folds all.

    Raises:
        UserError: the runs do not predict the same, or the weights do not fit.
    """
    check_alike(runs)
    weights = list(weights) or [1.0] * len(runs)
    if len(weights) != len(runs) or not (min(weights) >= 0 and 0 < sum(weights) < math.inf):
        raise UserError(f"--weights {weights} for {len(runs)} runs: give one of 0 or more a run")
    voices, shares, threshold = [], [], 0.0
    for run, name, weight in zip(runs, _names(runs), weights, strict=True):
        members = _taking_part(run, every)
        threshold += run.null_threshold(members) * weight / sum(weights)
        voices += [Voice(f"{name}/{member.name}", run, (member,)) for member in members]
        shares += [weight / len(members)] * len(members)
    return Fusion(tuple(voices), Mean(tuple(shares)), threshold)


def voices_of(runs: Sequence[SavedRun], every: bool) -> list[Voice]:
    """The voices of runs: of each its best model, or with `every` all; of folds one a seed.

    Raises:
        UserError: the runs do not predict the same.
    """
    check_alike(runs)
    voices = []
    for run, name in zip(runs, _names(runs), strict=True):
        members = _taking_part(run, every)
        if run.cfg.tune.folds:
            for seed in run.cfg.tune.seeds:
                folds = tuple(member for member in members if member.seed == seed)
                voices.append(Voice(f"{name}/seed-{seed}", run, folds))
        else:
            voices += [Voice(f"{name}/{member.name}", run, (member,)) for member in members]
    return voices


def check_alike(runs: Sequence[SavedRun]) -> None:
    """Raise UserError if runs do not predict the same."""
    first = _predicts(runs[0])
    for run in runs[1:]:
        for what, value in _predicts(run).items():
            if value != first[what]:
                raise UserError(
                    f"{what} is {_short(value)} in {run.path} and {_short(first[what])} in "
                    f"{runs[0].path}: an ensemble needs runs that predict the same; train one of "
                    "them with the other's"
                )


def _taking_part(run: SavedRun, every: bool) -> list[Member]:
    return run.members if every or run.cfg.tune.folds else [run.best]


def _names(runs: Sequence[SavedRun]) -> list[str]:
    names = [run.path.name for run in runs]
    return names if len(set(names)) == len(names) else [str(run.path) for run in runs]


def _predicts(run: SavedRun) -> dict[str, Any]:
    """All of a config that decides what its predictions are and how they are scored."""
    task = run.cfg.task
    return {
        "task.family": task.family,
        "task.labels": task.labels,
        "task.train_scheme": task.learnt_scheme,  # IOB1 and IOB2 have the same tags
        "task.no_answer": task.no_answer,
        "task.scoring": task.scoring,
        "data.choices": run.cfg.data.choices,
    }


def _short(value: Any) -> str:
    shown = list(value) if isinstance(value, tuple) else value
    return f"{shown[:5]} ..." if isinstance(shown, list) and len(shown) > 5 else str(shown)
