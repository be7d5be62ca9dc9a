"""The setting of each arm that has several to choose from, by a seed that is compared nowhere."""

from __future__ import annotations

from pathlib import Path

from bertjax import written
from bertjax.ablate.directory import MEASURED, GridDirectory
from bertjax.ablate.grid import Cell, searches
from bertjax.ablate.stored import load_scores
from bertjax.config import AblationConfig
from bertjax.errors import UserError
from bertjax.probe.scores import Scores


def results(cfg: AblationConfig, grid: GridDirectory) -> dict[str, dict[str, Scores | None]]:
    """Arm -> setting -> what the probe that decides says of it; None if it is unfit, or not yet."""
    found: dict[str, dict[str, Scores | None]] = {}
    for cell in searches(cfg):
        outcome = grid.read_outcome(cell)
        fit = outcome is not None and outcome["state"] == MEASURED and not outcome["left_out"]
        scores = _deciding(grid.scores(cell), cfg.decides) if fit else None
        found.setdefault(cell.arm, {})[cfg.arm(cell.arm).search[cell.setting]] = scores
    return found


def _deciding(path: Path, probe: str) -> Scores:
    scores = load_scores(path)
    if probe not in scores:
        raise written.damaged(path, f"it has no {probe!r}")
    return scores[probe]


def settings_found(cfg: AblationConfig, grid: GridDirectory) -> dict[str, str]:
    """The best setting of each arm whose search has ended; of equal ones the first.

    Once a seed of the comparison has begun, its arm keeps the setting that the seed has: a search
    that failed and was tried again could find another.
    """
    going_on = {cell.arm for cell in searches(cfg) if grid.read_outcome(cell) is None}
    settings = {}
    for arm, of_arm in results(cfg, grid).items():
        known = {setting: scores for setting, scores in of_arm.items() if scores is not None}
        if (taken := grid.read_setting(arm)) is not None:
            settings[arm] = taken
        elif known and arm not in going_on:
            settings[arm] = max(known, key=lambda setting: _merit(known[setting]))
    return settings


def needless(grid: GridDirectory, cell: Cell) -> bool:
    """Whether a cell searches for what its arm has."""
    return cell.setting >= 0 and grid.read_setting(cell.arm) is not None


def hold(cfg: AblationConfig, grid: GridDirectory, cell: Cell, settings: dict[str, str]) -> None:
    """Have all seeds of a cell's arm begin with the setting that this one begins with."""
    if cell.setting < 0 and cfg.arm(cell.arm).search and grid.read_setting(cell.arm) is None:
        grid.write_setting(cell.arm, settings[cell.arm])


def _merit(scores: Scores) -> float:
    return scores.headline if scores.better == "high" else -scores.headline


def require_setting(cfg: AblationConfig, cell: Cell, settings: dict[str, str]) -> None:
    """Refuse a cell whose arm has a search that has found nothing yet."""
    if cell.setting < 0 and cfg.arm(cell.arm).search and cell.arm not in settings:
        last = len(searches(cfg)) - 1
        raise UserError(
            f"cell {cell} needs the setting that cells 0 to {last} search for, and they have not "
            "ended well: run them first"
        )
