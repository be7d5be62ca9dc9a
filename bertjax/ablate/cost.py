"""What a cell cost, from what its run logged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


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
