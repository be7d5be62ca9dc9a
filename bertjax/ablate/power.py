"""What a grid could show, said before its first step."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bertjax.ablate.table import Table
from bertjax.config import HELD_OUT
from bertjax.statistics import smallest_effect

# Standard deviations, from seed to seed, of the difference between two arms, where the grid has no
# seeds of its own yet. Ours, of models of 4 layers × 128 or smaller (docs/LOG.md).
_DEVIATION_OF_LOSS = 0.02  # nats a piece
_DEVIATION_OF_SHARE = 0.012  # of the pairs


def foretell(table: Table) -> Iterator[str]:
    """Lines that say how many cells there are, and the smallest effect that they would show."""
    cfg = table.cfg
    cells = f"{len(cfg.arms)} arms × {cfg.seeds} seeds"
    yield f"grid   {cells}, {len(table.outcomes)} of {len(cfg.arms) * cfg.seeds} cells have ended"
    sd, whence = _deviation(table)
    effect = smallest_effect(sd, cfg.seeds)
    unit = "nats a piece" if cfg.decides == HELD_OUT else "of the pairs"
    yield (
        f"power  {cfg.decides} decides; {cfg.seeds} seeds would show a difference of {effect:.3g} "
        f"{unit} with 80 % probability (deviation of a difference {sd:.3g}, {whence})"
    )


def _deviation(table: Table) -> tuple[float, str]:
    """The largest deviation among the comparisons that have three seeds, or a stated default."""
    probe, found = table.cfg.decides, []
    for arm, other in table.cfg.comparisons:
        if len(table.seeds(arm, other)) >= 3:
            found.append(table.differences(arm, other, probe).mean(axis=1).std(ddof=1))
    if found:
        return float(np.max(found)), "from the seeds that have ended"
    return (
        (_DEVIATION_OF_LOSS if probe == HELD_OUT else _DEVIATION_OF_SHARE),
        "a default; --report says it from this grid's own",
    )
