"""Running a grid: each cell an ordinary run, then its probes, then its place in the table."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from functools import partial

from bertjax.ablate.check import Material
from bertjax.ablate.cost import cost_of
from bertjax.ablate.directory import FAILED, MEASURED, GridDirectory
from bertjax.ablate.gates import reasons_to_leave_out
from bertjax.ablate.grid import Cell, cell_config, cells
from bertjax.ablate.progress import CellTerminal, Clock
from bertjax.ablate.search import hold, needless, require_setting, settings_found
from bertjax.ablate.stored import save_scores
from bertjax.config import AblationConfig
from bertjax.durable import write_json
from bertjax.errors import UserError
from bertjax.runs.directory import RunInUse
from bertjax.runs.outcome import Stop, never
from bertjax.terminal import SILENT, Terminal, count, duration
from bertjax.train.loop import pretrain


def run_grid(
    cfg: AblationConfig,
    grid: GridDirectory,
    material: Material,
    *,
    only: Sequence[Cell] | None = None,
    command: Sequence[str] = (),
    stop: Stop = never,
    terminal: Terminal = SILENT,
) -> str | None:
    """Train and measure the cells that are not yet measured.

    A cell that fails is written down with its reason, and tried again by the next call. One that
    another process has is passed over. Returns why the grid was stopped; None at its end.

    Args:
        cfg: the ablation.
        grid: its directory.
        material: from `check`.
        only: the cells to run; None for all.
        command: what was typed, for the runs' command.txt.
        stop: asked after each step whether to save and end.
        terminal: where progress is shown.
    """
    every = cells(cfg)
    todo = [cell for cell in (every if only is None else only) if not _is_done(grid, cell)]
    clock = Clock()
    for i, cell in enumerate(todo):
        if reason := stop():
            return reason
        if _is_done(grid, cell):  # meanwhile, by another process
            continue
        name = f"cell {every.index(cell) + 1}/{len(every)} {cell}"
        heading = partial(_heading, name, clock, todo[i:])
        log = CellTerminal(terminal, heading, grid.log(cell))
        clock.start()
        try:
            stopped = _run_cell(cfg, grid, material, cell, command, stop, log)
        except RunInUse:  # several processes may share the cells of a grid
            terminal.say(f"cell {cell}: another process has it; passed over")
            continue
        except Exception as error:  # one cell must not sink the others
            reason = (
                str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
            )
            log.say("".join(traceback.format_exception(error)))
            write_json(grid.outcome(cell), {"state": FAILED, "reason": " ".join(reason.split())})
            terminal.say(f"cell {cell}: failed: {reason}")
            continue
        finally:
            log.end()
        if stopped:
            return stopped
        terminal.say(_line(grid, cell, clock.stop(cell)))
    return None


def _heading(name: str, clock: Clock, todo: list[Cell]) -> str:
    return name + clock.left(todo)


def has_failed(grid: GridDirectory, cell: Cell) -> bool:
    """Whether a cell ended without having been measured."""
    outcome = grid.read_outcome(cell)
    return outcome is not None and outcome["state"] == FAILED


def _is_done(grid: GridDirectory, cell: Cell) -> bool:
    outcome = grid.read_outcome(cell)
    measured = outcome is not None and outcome["state"] == MEASURED
    return measured or needless(grid, cell)


def _run_cell(
    cfg: AblationConfig,
    grid: GridDirectory,
    material: Material,
    cell: Cell,
    command: Sequence[str],
    stop: Stop,
    log: CellTerminal,
) -> str | None:
    """Train, measure and write down one cell; returns why it was stopped, if it was."""
    settings = settings_found(cfg, grid)
    require_setting(cfg, cell, settings)
    hold(cfg, grid, cell, settings)
    own = cell_config(cfg, cell, material.data.first.vocab_size, settings)
    run = pretrain(own, grid.run(cell), command=command, stop=stop, terminal=log)
    if run.stopped:
        return run.stopped
    log.progress("measuring")
    scores = material.measure(grid.run(cell))
    save_scores(grid.scores(cell), scores)
    rows = run.metrics
    outcome = {
        "state": MEASURED,
        "left_out": reasons_to_leave_out(own, rows, scores),
        "scores": {name: found.headline for name, found in scores.items()},
        "cost": cost_of(rows, run.results),
    }
    write_json(grid.outcome(cell), outcome)
    return None


def _line(grid: GridDirectory, cell: Cell, seconds: float) -> str:
    outcome = grid.read_outcome(cell)
    assert outcome is not None, "the cell was written down"
    scores = " · ".join(f"{name} {value:.4f}" for name, value in outcome["scores"].items())
    out = "".join(f" · left out: {reason}" for reason in outcome["left_out"])
    return f"done   {cell} · {outcome['cost']['steps']:,} steps, " + (
        f"{count(outcome['cost']['tokens'])} tokens, {duration(seconds)} · {scores}{out}"
    )
