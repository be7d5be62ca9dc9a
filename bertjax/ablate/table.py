"""All that a grid has measured so far, by cell, and why cells are left out."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bertjax import written
from bertjax.ablate.directory import MEASURED, GridDirectory
from bertjax.ablate.grid import Cell, compared
from bertjax.ablate.stored import load_scores
from bertjax.config import AblationConfig
from bertjax.probe.scores import Scores


@dataclass(frozen=True)
class Table:
    """The cells that are fit to be compared, and those that are not."""

    cfg: AblationConfig
    scores: Mapping[Cell, Mapping[str, Scores]]  # of the cells that are fit
    outcomes: Mapping[Cell, Mapping[str, Any]]  # of all that have ended
    left_out: Mapping[Cell, str]  # failed or unfit, with the reason

    @property
    def missing(self) -> list[Cell]:
        """Cells that have not ended."""
        return [cell for cell in compared(self.cfg) if cell not in self.outcomes]

    @property
    def probes(self) -> list[str]:
        """Every probe that was measured, the one that decides first."""
        names = list(dict.fromkeys(name for found in self.scores.values() for name in found))
        return sorted(names, key=lambda name: name != self.cfg.decides)

    def seeds(self, *arms: str) -> list[int]:
        """The seeds of which the cells of all these arms are fit."""
        return [
            seed
            for seed in range(self.cfg.seeds)
            if all(Cell(arm, seed) in self.scores for arm in arms)
        ]

    def headlines(self, arm: str, probe: str) -> np.ndarray:
        """What the probe says of each fit seed of an arm, float64."""
        cells = (Cell(arm, seed) for seed in self.seeds(arm))
        return np.array([self.scores[cell][probe].headline for cell in cells])

    def differences(self, arm: str, other: str, probe: str) -> np.ndarray:
        """Of each seed and example, what the arm has more than the other, float64 [S, N]."""

        def values(name: str) -> np.ndarray:
            found = (self.scores[Cell(name, seed)][probe] for seed in self.seeds(arm, other))
            return np.stack([scores.contributions for scores in found])

        return values(arm) - values(other)


def gather(cfg: AblationConfig, grid: GridDirectory) -> Table:
    """Read what is there."""
    outcomes, scores, left_out = {}, {}, {}
    first: dict[str, Any] = {}  # what each probe measures, and of what: all cells share it
    for cell in compared(cfg):
        outcome = grid.read_outcome(cell)
        if outcome is None:
            continue
        outcomes[cell] = outcome
        if outcome["state"] != MEASURED:
            left_out[cell] = f"failed: {outcome['reason']}"
        elif outcome["left_out"]:
            left_out[cell] = "; ".join(outcome["left_out"])
        else:
            scores[cell] = load_scores(grid.scores(cell))
            measured = {
                name: (len(found.values), found.groups, found.unit, found.better)
                for name, found in scores[cell].items()
            }
            if cfg.decides not in measured or measured != (first := first or measured):
                raise written.damaged(grid.scores(cell), "its examples are not those of the others")
    return Table(cfg, scores, outcomes, left_out)


def as_csv(table: Table) -> str:
    """One line for each cell, probe and group of examples; the same text for the same scores."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["arm", "seed", "probe", "group", "examples", "score", "unit"])
    for cell, of_cell in table.scores.items():
        for name, scores in of_cell.items():
            rows = {"": (len(scores.values), scores.headline)}
            if len(scores.groups):
                sizes = dict(zip(*np.unique(list(scores.groups), return_counts=True), strict=True))
                rows |= {group: (sizes[group], mean) for group, mean in scores.by_group().items()}
            for group, (size, score) in rows.items():
                writer.writerow([cell.arm, cell.seed, name, group, size, repr(score), scores.unit])
    return file.getvalue()
