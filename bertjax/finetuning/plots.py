"""Pictures of a run: losses and the metric by epoch, and what is taken for what."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bertjax.figures import can_draw, lettering

_NAMED = 12  # models in a legend
_LONGEST = 40  # characters of a label
_CLASSES = 40  # in a picture: their names can be read, and it is drawn in seconds
_SPLITS = {"out_of_fold": "held-out folds"}


def draw(directory: Path, content: Mapping[str, Any]) -> str:
    """Write curve.png, and confusion-SPLIT.png for each split where the task has classes.

    `content` is that of results.json. Returns what a person should know of the pictures.
    """
    if not can_draw():
        return "none: pip install 'bertjax[plots]' draws them"
    with lettering() as missing:
        _curve(directory / "curve.png", content)
        for split, entry in content["splits"].items():
            report = entry["report"] or {}
            if "confusion" in report:
                who = _who(content, split)
                title = f"{content['task']} on {_SPLITS.get(split, split)}\n{who}"
                _confusion(directory / f"confusion-{split}.png", title, **report["confusion"])
    if not missing:
        return ""
    characters = "".join(sorted(missing))[:20]
    return f"no font here has {characters}: install one, such as Noto Sans CJK for Chinese"


def _who(content: Mapping[str, Any], split: str) -> str:
    """Which models a split's report is of, and their metric."""
    metric, entry = content["metric"], content["splits"][split]
    values = entry["models"][metric]["values"]
    if split == "out_of_fold":
        who = "each by models that did not see it"
    else:
        who = content["models"][0]["name"] if len(values) == 1 else f"{len(values)} models together"
    value = entry["ensemble"][metric] if entry["ensemble"] else values[0]
    return f"{who}: {metric} {value:.4f}"


def _curve(path: Path, content: Mapping[str, Any]) -> None:
    """The metric above, with the epoch that is kept, and the losses below."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    models, metric = content["models"], content["metric"]
    held_out = "dev" if models[0]["fold"] is None else "held-out fold"
    figure = Figure(figsize=(7, 7), layout="constrained")
    figure.suptitle(f"{content['task']}: the epoch with the best {metric} (★) is kept")
    above, below = figure.subplots(2, 1, sharex=True)
    for i, model in enumerate(models):
        epochs = [entry["epoch"] for entry in model["history"]]
        colour = f"C{i % 10}"
        values = [_value(entry[metric]) for entry in model["history"]]
        above.plot(epochs, values, marker=".", color=colour, label=model["name"])
        best = model["best_epoch"]
        above.plot(best, values[best - 1], marker="*", markersize=14, color=colour)
        for name, style in (("train_loss", ":"), ("dev_loss", "-")):
            losses = [_value(entry.get(name)) for entry in model["history"]]  # old runs: none
            below.plot(epochs, losses, style, marker=".", color=colour)
    above.set_ylabel(f"{metric} on {held_out}")
    below.set_ylabel(f"loss: dotted train, solid {held_out}")
    below.set_xlabel("epoch")
    below.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in (above, below):
        axes.grid(alpha=0.3)
    if 1 < len(models) <= _NAMED:
        figure.legend(loc="outside lower center", ncols=4, fontsize="small")
    figure.savefig(path, dpi=120)


def _value(number: float | None) -> float:
    return float("nan") if number is None else number


def _confusion(path: Path, title: str, labels: list[str], counts: list[list[int]]) -> None:
    """Rows are what is, columns what was said; each row's shares of all its examples are coloured.

    Of many classes those are shown that are confused most often.
    """
    from matplotlib.figure import Figure

    numbers = np.array(counts)
    shares = numbers / np.maximum(1, numbers.sum(axis=1, keepdims=True))
    kept = _most_confused(numbers)
    if len(kept) < len(labels):
        title += f"\nthe {len(kept)} of {len(labels):,} classes that are confused most often"
    numbers, shares = (array[np.ix_(kept, kept)] for array in (numbers, shares))
    names = [labels[i] for i in kept]
    shown = [name if len(name) <= _LONGEST else f"{name[:_LONGEST]}…" for name in names]
    size = max(3.0, 0.45 * len(kept) + 1.5)
    room = 0.1 * max(map(len, shown))  # inches
    figure = Figure(figsize=(size + max(1.5, room), size + max(0.5, room)), layout="constrained")
    figure.suptitle(title, fontsize="medium")
    axes = figure.add_subplot(xlabel="predicted", ylabel="label")
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(kept)), shown, rotation=90)
    axes.set_yticks(range(len(kept)), shown)
    if len(kept) <= 20:
        for (i, j), n in np.ndenumerate(numbers):
            colour = "white" if shares[i, j] > 0.5 else "black"
            axes.text(j, i, f"{n:,}", ha="center", va="center", color=colour, fontsize=8)
    figure.savefig(path, dpi=120)


def _most_confused(counts: np.ndarray) -> list[int]:
    """The classes of the pairs that are confused most often, ascending; all where they are few."""
    errors = counts - np.diag(np.diag(counts))
    pairs = np.unravel_index(np.argsort(-errors, axis=None, kind="stable"), errors.shape)
    ranked = dict.fromkeys(np.stack(pairs, axis=1).ravel().tolist())
    return sorted([*ranked][:_CLASSES])
