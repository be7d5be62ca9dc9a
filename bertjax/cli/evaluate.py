"""`bertjax evaluate`: fine-tuned runs on a labelled file, each model and all together."""

from __future__ import annotations

import argparse
from pathlib import Path

from bertjax.finetune import results
from bertjax.finetune.saved import ensemble, open_saved
from bertjax.tasks.families import read_examples


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `bertjax evaluate`."""
    add_models(parser)
    parser.add_argument("--data", required=True, help="labelled file, or tfds:NAME:SPLIT")
    parser.add_argument("--out", type=Path, help="write the scores and tables as JSON here")


def add_models(parser: argparse.ArgumentParser) -> None:
    """Declare which models are run."""
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="run of `finetune`")
    parser.add_argument(
        "--every", action="store_true", help="all models of each run together, not its best one"
    )
    parser.add_argument(
        "--weights", type=_numbers, default=[], help="of the runs in an ensemble, such as 2,1"
    )


def run(args: argparse.Namespace) -> None:
    """Print the scores."""
    runs = [open_saved(path) for path in args.runs]
    cfg = runs[0].cfg
    examples, skipped = read_examples(args.data, cfg)
    named, together = ensemble(runs, examples, args.weights, args.every)
    if len(named) > 1:
        named = [*named, ("together", together)]
    task, content = runs[0].task, {}
    for name, scores in named:
        found = task.score(examples, scores)
        content[name] = found
        shown = " · ".join(f"{metric} {found[metric]:.4f}" for metric in task.metrics)
        print(f"{name:<24} {shown}")
    print(
        f"{len(examples):,} examples of {args.data}"
        + (f", {skipped:,} left out" if skipped else "")
    )
    if args.out:
        results.write_json(args.out, {"data": args.data, "scores": content})


def _numbers(text: str) -> list[float]:
    return [float(part) for part in text.split(",")]
