"""What the differences between arms are worth: an interval each, Holm's correction, a sentence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bertjax.ablate.table import Table
from bertjax.statistics import LEVEL, Interval, holm, paired_t, sentence, two_way_t

FEWEST = 2  # seeds of a comparison


@dataclass(frozen=True)
class Comparison:
    """An arm less another, by one probe."""

    arm: str
    other: str
    seeds: int  # that both arms have
    interval: Interval | None  # None with fewer than two seeds
    claimed: bool  # whether the probe decides, and finds a difference
    says: str


def conclusions(table: Table, probe: str) -> list[Comparison]:
    """Every comparison of the ablation by one probe.

    Of shares of examples the interval is over seeds and examples; of a loss, whose examples are
    many, over seeds. A claim is made by the probe that decides alone, at 5 % after Holm's
    correction over its comparisons; of the others the uncorrected interval is told and nothing
    is claimed.
    """
    found = [
        (arm, other, *_interval(table, arm, other, probe)) for arm, other in table.cfg.comparisons
    ]
    # One that is not there yet still counts: all of them were to be looked at from the start.
    corrected = holm(np.array([1.0 if i is None else i.p for *_, i in found])).tolist()
    return [
        _comparison(table, probe, arm, other, seeds, interval, p)
        for (arm, other, seeds, interval), p in zip(found, corrected, strict=True)
    ]


def _comparison(
    table: Table,
    probe: str,
    arm: str,
    other: str,
    seeds: int,
    interval: Interval | None,
    p: float,
) -> Comparison:
    if interval is None:
        says = f"not compared: {arm} and {other} have {seeds} fit seeds in common, two are needed"
        return Comparison(arm, other, seeds, None, False, says)
    if probe != table.cfg.decides:
        says = (
            f"{arm} − {other}: {interval.difference:+.4g} {unit(table, probe)}, 95 % interval "
            f"{interval.low:+.4g} to {interval.high:+.4g}"
        )
        return Comparison(arm, other, seeds, interval, False, says)
    says = sentence(
        interval,
        arm,
        other,
        unit(table, probe),
        better=better(table, probe),
        p=p,
        comparisons=len(table.cfg.comparisons),
    )
    return Comparison(arm, other, seeds, interval, p < LEVEL, says)


def _interval(table: Table, arm: str, other: str, probe: str) -> tuple[int, Interval | None]:
    seeds = len(table.seeds(arm, other))
    if seeds < FEWEST:
        return seeds, None
    differences_SN = table.differences(arm, other, probe)
    if is_loss(table, probe):
        return seeds, paired_t(differences_SN.mean(axis=1))
    return seeds, two_way_t(differences_SN)


def is_loss(table: Table, probe: str) -> bool:
    """Whether the probe's examples are many and its seeds alone are a sample."""
    return better(table, probe) == "low"


def better(table: Table, probe: str) -> str:
    """Which scores are the better ones: high or low."""
    return next(iter(table.scores.values()))[probe].better


def unit(table: Table, probe: str) -> str:
    """The unit of a probe's scores."""
    return next(iter(table.scores.values()))[probe].unit
