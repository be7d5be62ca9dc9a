"""`bertjax predict`: fine-tuned runs on unlabelled text, one JSON object an example."""

from __future__ import annotations

import argparse
from pathlib import Path

from bertjax.cli.devices import require_devices
from bertjax.cli.evaluate import add_models, open_runs, print_account
from bertjax.cli.outputs import check_output
from bertjax.finetune import results
from bertjax.finetune.saved import ensemble
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
    parser.add_argument("--out", type=Path, required=True, help="predictions.jsonl to write")
    parser.add_argument(
        "--submission", type=Path, help="write the task's file for the GLUE server here too"
    )


def run(args: argparse.Namespace) -> None:
    """Write the predictions."""
    require_devices()
    runs, cfg = open_runs(args.runs, args.base)
    check_output("--out", args.out, args.input)
    check_output("--submission", args.submission, args.input)
    account = row_account(cfg.data)
    examples, skipped = read_unlabelled(args.input, cfg, account)
    named, together = ensemble(runs, examples, args.weights, args.every)
    predictions = together.task.predict(examples, together.scores)
    by = [model.name for model in named]
    results.write_predictions(args.out, predictions, [by] * len(predictions))
    print(
        f"predicted {len(predictions):,} examples of {args.input}"
        + (f", {skipped:,} bad rows left out" if skipped else "")
        + f"\nby        {', '.join(by)}"
        + (" together" if len(by) > 1 else "")
        + (f", weighted {', '.join(f'{x:g}' for x in args.weights)}" if args.weights else "")
        + f"\nto        {args.out}"
    )
    print_account(account)
    if args.submission:
        write_submission(runs[0].cfg.task.name, predictions, args.submission)
        print(f"          {args.submission}")
