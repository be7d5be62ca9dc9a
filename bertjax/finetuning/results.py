"""What a run came to, as JSON and as a table, each number with the convention it follows."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bertjax import written
from bertjax.config import FinetuneConfig, TaskConfig
from bertjax.durable import replace_file
from bertjax.finetuning.material import Material, Start
from bertjax.finetuning.member import MEASURED, Member, first_best, metric_values
from bertjax.finetuning.parameters import weight_counts
from bertjax.finetuning.settle import task_shape
from bertjax.tasks.conventions import conventions, table_convention
from bertjax.tasks.task import Example, Scores, Task

NAME = "results.json"
_FORM = {
    "metric": str,
    "convention": {"selection": str, "start": str, "start_task": written.TEXT},
    "weights": {"encoder": int, "head": int, "kept": int},
    "models": [{"name": str, "seed": int, "null_threshold?": written.NUMBER, **MEASURED}],
    "null_threshold?": written.NUMBER,
    "splits": {
        str: {
            "examples": int,
            "models": {
                str: {
                    "mean": written.NULLABLE,
                    "sd": written.NULLABLE,
                    "values": [written.NULLABLE],
                }
            },
        }
    },
    "cut": {str: {"of": int}},
    "soup?": {"split": str},
}


def summarise(
    cfg: FinetuneConfig,
    start: Start,
    material: Material,
    members: Sequence[Member],
    found: Sequence[dict[str, Any]],
) -> dict[str, Any]:
    """The content of results.json, but for the scores of its `splits`.

    The dev numbers of a model are those of its best epoch, chosen on the same dev examples: the
    convention says so, and numbers of other conventions are never averaged with them.
    """
    models: list[dict[str, Any]] = [
        {"name": member.name, **{k: result[k] for k in (*_KEPT, *_OF_ROUNDS) if k in result}}
        for member, result in zip(members, found, strict=True)
    ]
    return {
        "task": cfg.task.name,
        "family": cfg.task.family,
        "metric": cfg.task.metric or material.task.metrics[0],
        "convention": {
            "selection": "best epoch by the metric on dev"
            if not cfg.tune.folds
            else "best epoch by the metric on the held-out fold",
            "start": start.source,
            "start_task": start.task or None,  # such as mnli for an MNLI-initialised run
            "metrics": conventions(cfg.task, material.task.metrics),
            "max_rows": cfg.data.max_rows or None,
            "truncation": f"windows every {cfg.data.window_step} tokens"
            if cfg.data.window_step
            else cfg.data.truncation,
        },
        "method": cfg.tune.method,
        **({"transfer": cfg.transfer.method} if cfg.data.unlabelled else {}),
        "weights": weight_counts(cfg, task_shape(cfg), start.params),
        "models": models,
        "splits": {},
        "cut": {
            name: {
                "tokens": encoded.rows.cut_tokens,
                "examples": encoded.rows.cut_examples,
                "of": len(encoded.examples),
            }
            for name, encoded in material.encoded.items()
        },
        "unknown_tokens": {name: encoded.unknown for name, encoded in material.encoded.items()},
        "skipped": material.splits.skipped,
    }


def scored(
    cfg: TaskConfig,
    examples: Sequence[Example],
    by_model: Sequence[tuple[Task, Sequence[Scores]]],
    together: tuple[Task, Sequence[Scores]],
) -> dict[str, Any]:
    """What a split's entry in results.json holds: of each model, and of all `together`.

    Each set of scores comes with the task that judges it; `cfg` is the settled one, by which each
    number has its convention.
    """
    single = [task.score(examples, scores) for task, scores in by_model]
    combined = together[0].score(examples, together[1])
    models = spread([metric_values(score) for score in single])
    for name, convention in conventions(cfg, models).items():
        models[name]["convention"] = convention
    return {
        "examples": len(examples),
        "models": models,
        "ensemble": metric_values(combined) if len(by_model) > 1 else None,
        "collapsed": sum(bool(score.get("collapsed")) for score in single),
        "report": with_convention(combined.get("report")),
    }


def with_convention(report: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The tables of a score, with what their columns follow."""
    said = table_convention(report or ())
    return {**(report or {}), "convention": said} if said else report


def read(run: Path) -> dict[str, Any]:
    """The content of a run's results.json; UserError where it cannot be read or is damaged."""
    found = written.read(run / NAME, _FORM)
    metric = found["metric"]
    for split, entry in found["splits"].items():
        if metric not in entry["models"]:
            raise written.damaged(run / NAME, f"splits.{split} has no {metric!r}")
    if not found["models"] or any(metric not in model["dev"] for model in found["models"]):
        raise written.damaged(run / NAME, f"a model has no {metric!r}")
    return found


_KEPT = (
    "seed", "fold", "best_epoch", "epochs", "steps", "tokens", "dev",
    "seconds_per_epoch", "history",
)  # fmt: skip
_OF_ROUNDS = ("round", "rounds")  # which was kept, and what each was taught and scored


def spread(scores: Sequence[Mapping[str, float]]) -> dict[str, dict[str, Any]]:
    """Mean, sample standard deviation (None for one model), best and all values, by metric.

    Where a value is not a number, mean and deviation are NaN, and the best is among the others.
    """
    found = {}
    for name in scores[0]:
        values = [score[name] for score in scores]
        found[name] = {
            "mean": statistics.fmean(values),
            "sd": float(np.std(values, ddof=1)) if len(values) > 1 else None,
            "best": values[first_best(values) or 0],
            "values": values,
        }
    return found


def table(content: Mapping[str, Any]) -> str:
    """The metrics of a run for the terminal, and what each follows."""
    lines, said = [], {}
    for split, entry in content["splits"].items():
        shown = _shown(content, entry["models"])
        width = max(12, *(len(name) + 2 for name in shown))
        for name in shown:
            value = entry["models"][name]
            said[name] = f"{'by':<12}{name:<{width}}{value['convention']}"
            line = f"{split:<12}{name:<{width}}{value['mean']:.4f}"
            if value["sd"] is not None:
                line += f" ± {value['sd']:.4f} (best {value['best']:.4f})"
            if entry["ensemble"]:
                line += f" · together {entry['ensemble'][name]:.4f}"
            lines.append(line)
        if entry["collapsed"]:
            lines.append(
                f"{split:<12}{entry['collapsed']} of the models say the same of every example: "
                "lower the learning rate"
                + (
                    ", train longer or set task.balanced=true"
                    if content["family"] == "classification"
                    else " or train longer"
                )
            )
    return "\n".join([*lines, *said.values()])


def _shown(content: Mapping[str, Any], models: Mapping[str, Any]) -> list[str]:
    """The metric that chooses first, then the others in the task's order."""
    return sorted(models, key=lambda name: name != content["metric"])[:5]


def write_predictions(
    path: Path | None, predictions: Sequence[dict[str, Any]], models: Sequence[Sequence[str]]
) -> None:
    """One JSON object a line, with the names of the `models` that made it together.

    The file is there whole or not at all; without a path the lines go to standard output.
    """
    lines = "".join(
        json.dumps(prediction | {"models": list(by)}, ensure_ascii=False) + "\n"
        for prediction, by in zip(predictions, models, strict=True)
    )
    if path is None:
        sys.stdout.write(lines)
    else:
        replace_file(path, lines.encode())
