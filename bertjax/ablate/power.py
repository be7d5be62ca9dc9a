"""What a grid could show, said before its first step."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bertjax.ablate.earlier import earlier_deviation, largest_deviation
from bertjax.ablate.probes import probe_name
from bertjax.ablate.table import Table
from bertjax.config import HELD_OUT, AblationConfig
from bertjax.statistics import smallest_effect

# Standard deviations, from seed to seed, of the difference between two arms, assumed where neither
# the grid nor one beside it has three seeds: by probe, with its unit. This is said.
_LOSS = (0.02, "nats a piece")
_BITS = (0.01, "bits a byte")
_SHARE = (0.012, "of the examples")


def foretell(table: Table, workdir: Path) -> Iterator[str]:
    """Lines that say how many cells there are, and the smallest effect that they would show."""
    cfg = table.cfg
    cells = f"{len(cfg.arms)} arms × {cfg.seeds} seeds"
    yield f"grid   {cells}, {len(table.outcomes)} of {len(cfg.arms) * cfg.seeds} cells have ended"
    sd, whence = _deviation(table, workdir)
    count = len(cfg.comparisons)
    effect = smallest_effect(sd, cfg.seeds, comparisons=count)
    yield (
        f"power  {cfg.decides} decides; {cfg.seeds} seeds would show a difference of {effect:.3g} "
        f"{_assumed(cfg)[1]} with 80 % probability, among {count} comparisons (deviation of a "
        f"difference {sd:.3g}, {whence})"
    )


def _deviation(table: Table, workdir: Path) -> tuple[float, str]:
    """The deviation of a difference and whence it is: these cells, other grids, or a default."""
    if (own := largest_deviation(table)) is not None:
        return own, "from the seeds that have ended"
    if (earlier := earlier_deviation(workdir, table.cfg)) is not None:
        sd, name = earlier
        return sd, f"from the grid {name} beside this one"
    return _assumed(table.cfg)[0], "assumed, as no three seeds have ended"


def _assumed(cfg: AblationConfig) -> tuple[float, str]:
    """A stated default, and the unit of the probe that decides."""
    texts = {probe_name(path) for path in cfg.probes.text}
    return _LOSS if cfg.decides == HELD_OUT else _BITS if cfg.decides in texts else _SHARE
