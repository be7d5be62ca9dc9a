"""Pictures of a report as SVG: curves with a band over seeds, differences with their intervals."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from bertjax.figures import lettering

_WIDTH = 4.8  # inches; letters stay legible on a screen of 390 pixels
_LINES = ("-", "--", "-.", ":")  # with ten colours, for arms beyond the tenth and for print


class Difference(NamedTuple):
    """A row of a forest plot."""

    label: str
    value: float
    low: float
    high: float
    claimed: bool


@lettering()
def curves(
    series: Mapping[str, Sequence[tuple[np.ndarray, np.ndarray]]],
    across: str,
    up: str,
    levels: Mapping[str, float] | None = None,
) -> str:
    """The mean of each arm over its seeds, and a band from its lowest to its highest.

    Args:
        series: of each arm, the places and values of each of its seeds.
        across: what the places are.
        up: what the values are.
        levels: values that are drawn as lines across, by name.
    """
    figure, axes = _figure(3.6)
    for i, (arm, of_seeds) in enumerate(series.items()):
        last = min(places[-1] for places, _ in of_seeds)
        first = max(places[0] for places, _ in of_seeds)
        at = np.linspace(first, last, 60)
        values = np.stack([np.interp(at, *seed) for seed in of_seeds])
        style = {"color": f"C{i % 10}", "linestyle": _LINES[i // 10 % len(_LINES)]}
        axes.plot(at, values.mean(axis=0), label=arm, **style)
        axes.fill_between(at, values.min(axis=0), values.max(axis=0), color=f"C{i % 10}", alpha=0.2)
    for i, (name, value) in enumerate((levels or {}).items()):
        axes.axhline(value, color="0.4", linewidth=1, linestyle=_LINES[1 + i], label=name)
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    return _svg(figure)


@lettering()
def forest(differences: Sequence[Difference], across: str) -> str:
    """A line for each difference with its interval; what is claimed is filled."""
    figure, axes = _figure(1.1 + 0.5 * len(differences))
    ends = [end for d in differences for end in (d.low, d.high) if np.isfinite(end)]
    span = max([*map(abs, ends), *(abs(d.value) for d in differences), 1e-12])
    for y, d in enumerate(reversed(differences)):
        colour = "C0" if d.claimed else "0.45"
        low, high = np.clip([d.low, d.high], -1.05 * span, 1.05 * span)
        axes.plot([low, high], [y, y], color=colour, linewidth=2)
        fill = colour if d.claimed else "white"
        axes.plot(d.value, y, "o", color=colour, markerfacecolor=fill, markersize=7)
        axes.annotate(
            d.label,
            (0, y),
            (0, 9),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},  # over the line at zero
        )
    axes.axvline(0, color="0.2", linewidth=1)
    axes.set_xlim(-1.1 * span, 1.1 * span)
    axes.set_ylim(-0.5, len(differences) - 0.2)
    axes.set_yticks([])
    axes.set_xlabel(across)
    for side in ("left", "right", "top"):
        axes.spines[side].set_visible(False)
    return _svg(figure)


def _figure(height: float) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    return figure, figure.subplots()


def _svg(figure: Any) -> str:
    """The same text for the same figure: no date, and names that do not depend on chance."""
    import matplotlib

    file = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "bertjax"}):
        figure.savefig(file, format="svg", metadata={"Date": None})
    text = file.getvalue()
    return text[text.index("<svg") :]
