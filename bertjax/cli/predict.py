"""`bertjax predict`: fine-tuned runs on unlabelled text, one JSON object an example."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bertjax.cli.devices import require_devices
from bertjax.cli.evaluate import add_models, open_models, print_account
from bertjax.cli.outputs import check_output
from bertjax.finetuning import results
from bertjax.tasks.glue import write_submission
from bertjax.tasks.tables import row_account
from bertjax.tasks.unlabelled import read_unlabelled


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `bertjax predict`."""
    add_models(parser)
    parser.add_argument(
        "--input",
        required=True,
        help="file laid out as the training file, without labels; or .txt, one text a line",
    )
    parser.add_argument(
        "--out",
        type=_output,
        required=True,
        help="predictions.jsonl to write; - for standard output",
    )
    parser.add_argument(
        "--submission", type=Path, help="write the task's file for the GLUE server here too"
    )


def _output(path: str) -> Path | None:
    return None if path == "-" else Path(path)


def run(args: argparse.Namespace) -> None:
    """Write the predictions."""
    require_devices()
    fusion, cfg = open_models(args)
    check_output("--out", args.out, args.input)
    check_output("--submission", args.submission, args.input)
    account = row_account(cfg.data)
    examples, skipped = read_unlabelled(args.input, cfg, account)
    named, together = fusion.judge(examples)
    predictions = together.task.predict(examples, together.scores)
    by = [model.name for model in named]
    results.write_predictions(args.out, predictions, [by] * len(predictions))
    report = sys.stdout if args.out else sys.stderr
    print(
        f"predicted {len(predictions):,} examples of {args.input}"
        + (f", {skipped:,} bad rows left out" if skipped else "")
        + f"\nby        {', '.join(by)}"
        + (" together" if len(by) > 1 else "")
        + (f", weighted {', '.join(f'{x:g}' for x in args.weights)}" if args.weights else "")
        + f"\nto        {args.out or 'standard output'}",
        file=report,
    )
    print_account(account, report)
    if args.submission:
        write_submission(cfg.task.name, predictions, args.submission)
        print(f"          {args.submission}", file=report)
