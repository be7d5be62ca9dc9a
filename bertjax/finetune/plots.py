"""Pictures of a run: the metric by epoch, and what is taken for what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def draw(
    directory: Path, content: Mapping[str, Any], histories: Sequence[tuple[str, list[dict]]]
) -> bool:
    """Write curve.png, and confusion.png where the task has classes.

    `histories` has, for every model, its name and the metrics of each epoch. Returns whether
    there is something to draw with: matplotlib comes with the extra `bertjax[plots]`.
    """
    try:
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator
    except ImportError:
        return False
    metric = content["metric"]
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot(xlabel="epoch", ylabel=f"dev {metric}", title=content["task"])
    for name, epochs in histories:
        axes.plot([e["epoch"] for e in epochs], [e[metric] for e in epochs], marker="o", label=name)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    if len(histories) > 1:
        axes.legend(fontsize="small")
    figure.savefig(directory / "curve.png", dpi=120)
    for entry in content["splits"].values():
        report = entry["report"] or {}
        if "confusion" in report:
            _confusion(directory / "confusion.png", **report["confusion"])
            break
    return True


def _confusion(path: Path, labels: list[str], counts: list[list[int]]) -> None:
    """Rows are what is, columns what was said; each row's shares are coloured."""
    from matplotlib.figure import Figure

    size = max(3.0, 0.45 * len(labels) + 1.5)
    figure = Figure(figsize=(size + 1, size), layout="constrained")
    axes = figure.add_subplot(xlabel="predicted", ylabel="label")
    shares = [[n / max(1, sum(row)) for n in row] for row in counts]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(labels)), labels, rotation=90)
    axes.set_yticks(range(len(labels)), labels)
    if len(labels) <= 20:
        for i, row in enumerate(counts):
            for j, n in enumerate(row):
                colour = "white" if shares[i][j] > 0.5 else "black"
                axes.text(j, i, f"{n:,}", ha="center", va="center", color=colour, fontsize=8)
    figure.savefig(path, dpi=120)
