"""Ways to fuse models beside the models themselves: metrics, and what each difference is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from bertjax.errors import UserError
from bertjax.finetuning.member import first_best, metric_values
from bertjax.finetuning.splits import different, folds
from bertjax.fuse.voices import Judged
from bertjax.statistics import grouped_t
from bertjax.tasks.task import Example

_GROUPS = 50  # left out one at a time


def compare(
    said: Sequence[Judged], singles: int, examples: Sequence[Example], metric: str
) -> list[dict[str, Any]]:
    """A row for each of `said`: its metrics, and their differences from the best single model.

    The first `singles` of `said` are the single models; the best of them by `metric` has no
    differences. Equal examples are left out together.

    Raises:
        UserError: there are fewer than two different examples.
    """
    count = different(examples)
    if count < 2:
        raise UserError(
            f"{len(examples)} held-out examples, {count} of them different: what models differ by "
            "on one says nothing of others; give more"
        )
    groups = folds(examples, min(_GROUPS, count))
    everything = np.arange(len(examples))
    parts = [everything, *(np.setdiff1d(everything, group) for group in groups)]
    measured = [[_metrics(one, examples, part) for part in parts] for one in said]
    best = first_best([found[0][metric] for found in measured[:singles]]) or 0
    names = said[0].task.metrics
    rows = []
    for i, (one, found) in enumerate(zip(said, measured, strict=True)):
        row: dict[str, Any] = {"name": one.name, "metrics": {n: found[0][n] for n in names}}
        if i != best:
            row["differences"] = {name: _difference(name, found, measured[best]) for name in names}
        rows.append(row | {"best_single": i == best})
    return rows


def _metrics(one: Judged, examples: Sequence[Example], part: np.ndarray) -> dict[str, float]:
    return metric_values(one.task.score([examples[i] for i in part], [one.scores[i] for i in part]))


def _difference(
    name: str, ours: Sequence[Mapping[str, float]], theirs: Sequence[Mapping[str, float]]
) -> dict[str, float]:
    whole, *without = (a[name] - b[name] for a, b in zip(ours, theirs, strict=True))
    interval = asdict(grouped_t(whole, np.array(without)))
    return {"difference": whole} | {key: interval[key] for key in ("low", "high", "p")}


def table(content: Mapping[str, Any]) -> str:
    """Markdown: a row a model or way, a column a metric, the one that chose first."""
    names = sorted(content["rows"][0]["metrics"], key=lambda name: name != content["metric"])
    lines = [f"| | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for row in content["rows"]:
        cells = [_cell(row, name) for name in names]
        lines.append(f"| {row['name']} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", *(f"- {line}" for line in content["says"])]) + "\n"


def _cell(row: Mapping[str, Any], name: str) -> str:
    value = f"{row['metrics'][name]:.4f}"
    found = row.get("differences", {}).get(name)
    if not found:
        return value
    low, high = (found[end] for end in ("low", "high"))
    if not np.isfinite([low, high]).all():  # the two say the same of all examples, or nearly so
        return f"{value} ({found['difference']:+.4f})"
    return f"{value} ({found['difference']:+.4f}: {low:+.4f} to {high:+.4f})"
