"""The held-out loss of a run as it went, read from its log."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from bertjax.runs.directory import RunDirectory

LOSS = "masked_lm_loss"


def evaluations(run: Path, loss: str = LOSS) -> tuple[np.ndarray, np.ndarray]:
    """Steps and held-out losses, float64 [evaluations] each; without those that are not finite."""
    path = RunDirectory(run).metrics
    if not path.exists():
        return np.zeros(0), np.zeros(0)
    with path.open(encoding="utf-8") as file:
        rows = [row for row in map(json.loads, file) if row["kind"] == "evaluation"]
    known = [(row["step"], row[loss]) for row in rows if row.get(loss) is not None]
    steps, losses = np.array(known, np.float64).reshape(-1, 2).T
    return steps, losses
