"""`bertjax ablate`: arms that differ in a few fields, trained from paired seeds, and compared."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from bertjax.ablate.check import check
from bertjax.ablate.directory import open_grid, saved_grid
from bertjax.ablate.grid import cells
from bertjax.ablate.power import foretell
from bertjax.ablate.report import write_report
from bertjax.ablate.run import has_failed, run_grid
from bertjax.ablate.table import gather
from bertjax.cli.devices import require_devices
from bertjax.cli.fields import add_config
from bertjax.cli.signals import StopSignals
from bertjax.config import AblationConfig, BudgetConfig, PretrainConfig
from bertjax.errors import EXIT_FAILED, UserError
from bertjax.overrides import apply_overrides
from bertjax.recipes.shipped import load_recipe
from bertjax.terminal import Terminal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `bertjax ablate`."""
    add_config(parser, "data.corpus=data/mine budget.minutes=30 seeds=5", required=False)
    parser.add_argument(
        "--workdir", type=Path, help="the grid's directory; gone on with if it holds one"
    )
    parser.add_argument(
        "--cell",
        type=int,
        metavar="I",
        help="run this cell alone, counted from 0, such as $SLURM_ARRAY_TASK_ID; --report gathers",
    )
    parser.add_argument(
        "--report", type=Path, metavar="WORKDIR", help="write the report of what is there, and end"
    )


def run(args: argparse.Namespace) -> int:
    """Run the grid, or a cell of it, and report."""
    if args.report is not None:
        if args.config or args.workdir or args.overrides or args.cell is not None:
            raise UserError("--report WORKDIR stands alone: the grid there has its config")
        _report(args.report)
        return 0
    if args.config is None or args.workdir is None:
        raise UserError("give --config FILE and --workdir DIRECTORY, or --report WORKDIR")
    cfg = with_fields(load_recipe(args.config, AblationConfig), args.overrides)
    every = cells(cfg)
    if args.cell is not None and not 0 <= args.cell < len(every):
        raise UserError(f"--cell {args.cell}: the grid has the cells 0 to {len(every) - 1}")
    only = None if args.cell is None else [every[args.cell]]
    with StopSignals() as signals:
        require_devices()
        terminal = Terminal()
        material = check(cfg, terminal.progress)
        grid = open_grid(args.workdir, cfg, material.fingerprints())
        for line in foretell(gather(cfg, grid), grid.path):
            terminal.say(line)
        for probe in material.probes:
            if probe.left_out:
                terminal.say(
                    f"note   {probe.left_out:,} examples of {probe.name} stand in the training "
                    "text: left out"
                )
        stopped = run_grid(
            cfg,
            grid,
            material,
            only=only,
            command=["bertjax", *sys.argv[1:]],
            stop=signals.asked,
            terminal=terminal,
        )
    if stopped:
        terminal.say(f"{stopped}: the same command goes on")
    elif only is None:
        _report(args.workdir)
    elif any(has_failed(grid, cell) for cell in only):
        return EXIT_FAILED
    return signals.exit_code(stopped)


def with_fields(cfg: AblationConfig, items: Sequence[str]) -> AblationConfig:
    """The ablation with what was typed; a field of a pretraining run is that of the base.

    A budget that is typed takes the place of the recipe's.
    """
    of_run = {field.name for field in fields(PretrainConfig)}
    typed = [
        f"base.{item}" if item.split("=")[0].split(".")[0] in of_run else item for item in items
    ]
    if any(item.startswith("budget.") for item in typed):
        typed = [f"budget.{field.name}=0" for field in fields(BudgetConfig)] + typed
    return apply_overrides(cfg, typed)


def _report(workdir: Path) -> None:
    grid, cfg = saved_grid(workdir)
    for line in write_report(grid, gather(cfg, grid)):
        print(line)
