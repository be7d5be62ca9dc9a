"""What a cell cost, from what its run logged, and what the arms cost beside one another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from bertjax.ablate.blocks import Block, Heading, Rows, Text
from bertjax.ablate.grid import Cell, cell_config
from bertjax.ablate.table import Table
from bertjax.terminal import count, duration
from bertjax.train.scale import tokens_a_step

_ALIKE = 0.02  # by which the text that two arms have read may differ without a word


def cost_of(rows: Sequence[Mapping[str, Any]], results: Mapping[str, Any]) -> dict[str, Any]:
    """Steps and real tokens of a run, and the seconds and FLOPs of its training alone.

    Compiling, evaluation and saving are not in the seconds, so that cells compare. `rows` are the
    run's log: each report has the rates of the steps since the one before it. None where the run is
    too short for a rate.
    """
    seconds = flops = 0.0
    before = 0
    for row in rows:
        if row["kind"] != "train":
            continue
        if row.get("tokens_per_second"):
            took = (row["step"] - before) * row["tokens"] / row["tokens_per_second"]
            seconds += took
            flops += took * row["model_flops_per_second"]
        before = row["step"]
    return {
        "steps": results["step"],
        "tokens": results["tokens"],
        "seconds": seconds or None,
        "flops": flops or None,
    }


def costs(table: Table, vocab_size: int, settings: Mapping[str, str]) -> Iterator[Block]:
    """The mean cost of a cell of each arm; how much text one budget was where that differs.

    Budgets of tokens are places in rows, which is what a step costs. How many places hold text is
    the arm's own doing, and is told.
    """
    rows, read = [], {}
    for arm in table.cfg.arms:
        found = [
            outcome["cost"]
            for cell, outcome in table.outcomes.items()
            if cell.arm == arm.name and "cost" in outcome
        ]
        if not found:
            continue
        run = cell_config(table.cfg, Cell(arm.name, 0), vocab_size, settings)
        mean = {name: _mean([cost[name] for cost in found]) for name in found[0]}
        places = mean["steps"] * tokens_a_step(run)
        read[arm.name] = mean["tokens"]
        rows.append(
            [
                arm.name,
                f"{mean['steps']:,.0f}",
                count(places),
                count(mean["tokens"]),
                f"{mean['tokens'] / places:.0%}" if places else "",
                f"{mean['flops']:.3g}",
                duration(mean["seconds"]),
                count(mean["tokens"] / mean["seconds"]) if mean["seconds"] else "",
            ]
        )
    if not rows:
        return
    yield Heading("Cost of a cell")
    header = ["arm", "steps", "places", "real tokens", "of places", "FLOPs", "training", "tokens/s"]
    yield Rows(header, rows)
    least, most = min(read, key=read.__getitem__), max(read, key=read.__getitem__)
    if read[most] > (1 + _ALIKE) * read[least] > 0:
        yield Text(
            f"{most} read {read[most] / read[least] - 1:.0%} more text than {least} within the "
            "same budget: a difference between them is of both."
        )


def _mean(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else 0.0
