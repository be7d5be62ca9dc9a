"""The held-out loss of a run as it went, read from its log."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bertjax import written
from bertjax.runs.directory import RunDirectory

LOSS = "masked_lm_loss"


def evaluations(run: Path, loss: str = LOSS) -> tuple[np.ndarray, np.ndarray]:
    """Steps and held-out losses, float64 [evaluations] each; without those that are no losses."""
    form = {"kind": str, "step": int, loss: written.NUMBER}
    rows = written.lines(RunDirectory(run).metrics, form)
    rows = [row for row in rows if row["kind"] == "evaluation" and abs(row[loss]) < written.LARGEST]
    known = [(row["step"], row[loss]) for row in rows]
    steps, losses = np.array(known, np.float64).reshape(-1, 2).T
    return steps, losses
