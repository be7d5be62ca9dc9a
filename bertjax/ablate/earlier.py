"""How much differences vary from seed to seed, by grids that have ended beside this one."""

from __future__ import annotations

from pathlib import Path

from bertjax.ablate.directory import saved_grid
from bertjax.ablate.table import Table, gather
from bertjax.config import AblationConfig
from bertjax.errors import UserError
from bertjax.runs.kinds import Kind, kind_of

FEWEST = 3  # seeds of a comparison that say how much it varies


def largest_deviation(table: Table) -> float | None:
    """Of the probe that decides, over the comparisons with three seeds; None if there is none."""
    found = [
        float(table.differences(arm, other, table.cfg.decides).mean(axis=1).std(ddof=1))
        for arm, other in table.cfg.comparisons
        if len(table.seeds(arm, other)) >= FEWEST
    ]
    return max(found, default=None)


def earlier_deviation(workdir: Path, cfg: AblationConfig) -> tuple[float, str] | None:
    """The largest of the grids in the same folder that measure the same, and where it is from.

    They have the same probe to decide, the same budget and a base model of the same size.
    """
    found = []
    for path in sorted(workdir.absolute().parent.iterdir()):
        try:
            if path == workdir.absolute() or kind_of(path) is not Kind.ABLATION:
                continue
            grid, other = saved_grid(path)
            if _measures(other) != _measures(cfg):
                continue
            sd = largest_deviation(gather(other, grid))
        except (UserError, OSError, ValueError, KeyError):  # of another version, or half there
            continue
        if sd is not None:
            found.append((sd, path.name))
    return max(found, default=None)


def _measures(cfg: AblationConfig) -> tuple[object, ...]:
    model = cfg.base.model
    size = (model.hidden_size, model.num_layers, model.intermediate_size)
    return cfg.decides, cfg.budget, size
