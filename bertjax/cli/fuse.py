"""`bertjax fuse`: several fine-tuned models made one, by the way that is asked for."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bertjax.cli.devices import require_devices
from bertjax.cli.evaluate import add_base, opened_base, print_account, split_arguments
from bertjax.durable import check_place, check_vacant
from bertjax.errors import UserError
from bertjax.finetuning.saved import open_saved
from bertjax.fuse.compare import table
from bertjax.fuse.run import Asked, fuse
from bertjax.fuse.trial import METHODS
from bertjax.overrides import apply_overrides
from bertjax.tasks.families import learnt_examples, read_examples
from bertjax.tasks.tables import row_account


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `bertjax fuse`."""
    parser.add_argument(
        "runs",
        nargs="+",
        metavar="RUN",
        help="run of `finetune`; and data.NAME=VALUE where --data differs from the training file, "
        "or task.positive=LABEL",
    )
    parser.add_argument(
        "--data",
        help="labelled file that no model was trained on, to learn and compare by (default: of "
        "runs of tune.folds what each model was kept from)",
    )
    parser.add_argument("--method", choices=METHODS, required=True, help="what to store")
    parser.add_argument(
        "--votes",
        type=int,
        help="of vote: how many models must find an entity; fewer for recall, more for precision "
        "(default: more than half)",
    )
    parser.add_argument(
        "--every", action="store_true", help="all models of each run, not its best one"
    )
    parser.add_argument("--out", type=Path, required=True, help="directory to make")
    add_base(parser)


def run(args: argparse.Namespace) -> None:
    """Write the fused directory and print its table."""
    require_devices()
    check_vacant(args.out)
    check_place(args.out)
    paths, overrides = split_arguments(args.runs)
    base = opened_base(args.base)
    runs = [open_saved(path, base) for path in paths]
    cfg = apply_overrides(runs[0].cfg, overrides)
    unread = next((item for item in overrides if item.startswith("data.") and not args.data), "")
    if unread:
        raise UserError(f"{unread}: how a file is read, and none is: name one with --data")
    runs = [run.judged_by(cfg.task.positive) for run in runs]  # one F1 is told
    data = None
    if args.data:
        account = row_account(cfg.data)
        examples, _ = read_examples(args.data, cfg, account=account)
        data = (args.data, learnt_examples(examples, cfg.task.labels, account))
        print_account(account)
    asked = Asked(args.method, args.votes)
    content = fuse(runs, asked, args.out, data, every=args.every, command=sys.argv)
    print(table(content), end="")
    print(f"to     {args.out}")
