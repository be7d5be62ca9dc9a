"""Targets: grids of `ablate`."""

from __future__ import annotations

import functools
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from fuzz_configs import ABLATION
from fuzz_folders import as_json, describe, targets_of, without_pictures
from fuzz_target import Target

from bertjax.ablate.curves import LOSS
from bertjax.ablate.directory import saved_grid
from bertjax.ablate.grid import cells
from bertjax.ablate.report import write_report
from bertjax.ablate.stored import save_scores
from bertjax.ablate.table import gather
from bertjax.overrides import to_json
from bertjax.probe.scores import Scores


@functools.cache
def _grid() -> dict[str, bytes]:
    cost = {"steps": 4, "tokens": 10.0, "seconds": 1.0, "flops": 1.0}
    scores = {ABLATION.decides: 3.0, "pairs/accuracy": 0.5}
    outcome = {"state": "measured", "left_out": [], "scores": scores, "cost": cost}
    rows = [{"kind": "evaluation", "step": step, LOSS: 4.0 - step / 4} for step in (2, 4)]
    log = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    made = {
        "config.json": to_json(ABLATION).encode(),
        "corpus.json": as_json({"corpus": "ab", "vocabulary": "100"}),
        "looks.json": as_json({"seeds": [2]}),
    }
    with tempfile.TemporaryDirectory() as above:
        file = Path(above) / "a.npz"
        for i, cell in enumerate(cells(ABLATION)):
            save_scores(file, _scores(i))
            place = f"cells/{cell.arm}/{cell.name}"
            made |= {f"{place}.json": as_json(outcome), f"{place}.npz": file.read_bytes()}
            made[f"{place}/metrics.jsonl"] = log
    return made


def _scores(of: int) -> dict[str, Scores]:
    """Of a loss, and of a share of examples that are in groups and have weights."""
    losses, right = np.arange(6.0) + of, np.arange(6.0) % (2 + of % 2)
    weights, groups = np.linspace(1, 2, 6), ["long", "short"] * 3
    return {
        ABLATION.decides: Scores(ABLATION.decides, losses, "nats a piece", "low"),
        "pairs/accuracy": Scores("pairs/accuracy", right, "of pairs", "high", groups, weights),
    }


def _report(folder: Path) -> None:
    describe(folder)
    grid, cfg = saved_grid(folder)
    list(write_report(grid, gather(cfg, grid)))


def grid_targets() -> Iterator[Target]:
    """The files of a grid of `ablate`, and again those with numbers that are drawn."""
    a, b = "cells/a/seed0", "cells/b/search0"
    told = [f"{name}.json" for name in ("config", "corpus", "looks", a, b)]
    told += [f"{a}.npz", f"{b}.npz"]
    yield from targets_of("grid", _grid, dict.fromkeys(told, without_pictures(_report)))
    drawn = (f"{a}.npz", f"{a}/metrics.jsonl")
    yield from targets_of("grid pictures", _grid, dict.fromkeys(drawn, _report))
