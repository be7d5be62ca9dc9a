"""Whether a cell is fit to be compared: each reason against it, in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from bertjax.config import PretrainConfig
from bertjax.probe.scores import Scores

_MOST_SKIPPED = 0.01  # share of the steps that may have been without an update


def reasons_to_leave_out(
    cfg: PretrainConfig, rows: Sequence[Mapping[str, Any]], scores: Mapping[str, Scores]
) -> list[str]:
    """What speaks against a cell: the run with that config and that log, measured so.

    A run that has not learnt more than the frequencies of pieces, has numbers that are not finite,
    or took fewer updates than its warm-up says nothing of the arm.
    """
    found = []
    evaluations = [row for row in rows if row["kind"] == "evaluation"]
    trained = [row for row in rows if row["kind"] == "train"]
    last, step = evaluations[-1], trained[-1]
    loss, entropy = last["masked_lm_loss"], last["unigram_entropy"]
    if loss is None:
        found.append("its held-out loss is not finite")
    elif loss > entropy:
        found.append(
            f"its held-out loss {loss:.4f} is above the unigram entropy {entropy:.4f}: it learnt "
            "nothing from context"
        )
    for name, score in scores.items():
        if not all(map(math.isfinite, score.values)):
            found.append(f"its scores of {name} are not finite")
    updates = step["step"] - step["skipped"]
    warmup = math.ceil(cfg.optim.warmup_fraction * step["step"])
    if updates <= warmup:
        found.append(f"it took {updates:.0f} updates, and its warm-up has {warmup}")
    if step["skipped"] > _MOST_SKIPPED * step["step"]:
        found.append(f"{step['skipped']:.0f} of its steps were not finite and were skipped")
    return found
