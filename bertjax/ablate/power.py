"""What a grid could show, said before its first step."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bertjax.ablate.probes import probe_name
from bertjax.ablate.table import Table
from bertjax.config import HELD_OUT
from bertjax.statistics import smallest_effect

# Standard deviations, from seed to seed, of the difference between two arms, assumed where the grid
# has no three seeds of its own yet: by probe, with its unit. That they are assumed is said.
_LOSS = (0.02, "nats a piece")
_BITS = (0.01, "bits a byte")
_SHARE = (0.012, "of the examples")


def foretell(table: Table) -> Iterator[str]:
    """Lines that say how many cells there are, and the smallest effect that they would show."""
    cfg = table.cfg
    cells = f"{len(cfg.arms)} arms × {cfg.seeds} seeds"
    yield f"grid   {cells}, {len(table.outcomes)} of {len(cfg.arms) * cfg.seeds} cells have ended"
    sd, unit, whence = _deviation(table)
    count = len(cfg.comparisons)
    effect = smallest_effect(sd, cfg.seeds, comparisons=count)
    yield (
        f"power  {cfg.decides} decides; {cfg.seeds} seeds would show a difference of {effect:.3g} "
        f"{unit} with 80 % probability, among {count} comparisons (deviation of a difference "
        f"{sd:.3g}, {whence})"
    )


def _deviation(table: Table) -> tuple[float, str, str]:
    """The deviation of a difference, its unit, and whence it is.

    It is the largest of the comparisons that have three seeds, or a stated default.
    """
    probe, found = table.cfg.decides, []
    texts = {probe_name(path) for path in table.cfg.probes.text}
    default, unit = _LOSS if probe == HELD_OUT else _BITS if probe in texts else _SHARE
    for arm, other in table.cfg.comparisons:
        if len(table.seeds(arm, other)) >= 3:
            found.append(table.differences(arm, other, probe).mean(axis=1).std(ddof=1))
    if found:
        return float(np.max(found)), unit, "from the seeds that have ended"
    return default, unit, "assumed, as no three seeds have ended"
