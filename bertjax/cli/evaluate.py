"""`bertjax evaluate`: fine-tuned runs on a labelled file, each model and all together."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TextIO

from bertjax.cli.devices import require_devices
from bertjax.cli.outputs import check_output
from bertjax.config import FinetuneConfig
from bertjax.config.finetune import READING
from bertjax.durable import write_json
from bertjax.errors import UserError
from bertjax.finetuning.material import Start
from bertjax.finetuning.member import metric_values
from bertjax.finetuning.results import with_convention
from bertjax.finetuning.saved import open_saved, open_start
from bertjax.fuse.stored import open_fusion
from bertjax.fuse.voices import Fusion, at_once
from bertjax.overrides import apply_overrides
from bertjax.runs.kinds import Kind, kind_of
from bertjax.tasks.conventions import conventions
from bertjax.tasks.families import learnt_examples, read_examples
from bertjax.tasks.tables import row_account
from bertjax.text.account import Account


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `bertjax evaluate`."""
    add_models(parser)
    parser.add_argument("--data", required=True, help="labelled file, or tfds:NAME:SPLIT")
    parser.add_argument("--out", type=Path, help="write the scores and tables as JSON here")


def add_models(parser: argparse.ArgumentParser) -> None:
    """Declare which models are run."""
    parser.add_argument(
        "runs",
        nargs="+",
        metavar="RUN",
        help="runs of `finetune`, or one of `fuse`; and data.NAME=VALUE where the file differs "
        "from the training file, or task.positive=LABEL",
    )
    parser.add_argument(
        "--every",
        action="store_true",
        help="all models of each run together, not its best one; of folds all always",
    )
    parser.add_argument(
        "--weights", type=_numbers, default=[], help="of several runs, such as 2,1 (default: equal)"
    )
    add_base(parser)


def add_base(parser: argparse.ArgumentParser) -> None:
    """Declare where the encoder of runs of few weights lies."""
    parser.add_argument(
        "--base",
        type=Path,
        help="of runs of few weights: the directory of their encoder, if it was moved",
    )


def opened_base(base: Path | None) -> Start | None:
    """What --base names."""
    return None if base is None else open_start(base, "--base")[1]


def open_models(args: argparse.Namespace) -> tuple[Fusion, FinetuneConfig]:
    """The models that `add_models` names, as one, and the config by which a file is read.

    That is the first run's with the overrides. All are judged by its `task.positive`, so that one
    F1 is told.

    Raises:
        UserError: a run cannot be opened, or an override is not about reading or judging.
    """
    paths, overrides = split_arguments(args.runs)
    fused = [path for path in paths if kind_of(path) is Kind.FUSION]
    if fused and (len(paths) > 1 or args.weights or args.every):
        raise UserError(
            f"{fused[0]} says itself which models take part, and with what weight: name it alone, "
            "without --weights and --every"
        )
    base = opened_base(args.base)
    if fused:
        fusion = open_fusion(fused[0], base)
    else:
        fusion = at_once([open_saved(path, base) for path in paths], args.weights, args.every)
    cfg = apply_overrides(fusion.voices[0].run.cfg, overrides)
    return fusion.judged_by(cfg.task.positive), cfg


def split_arguments(arguments: list[str]) -> tuple[list[Path], list[str]]:
    """The paths of runs, and the overrides among them; UserError where either is none."""
    overrides = [item for item in arguments if "=" in item and not Path(item).exists()]
    may_differ = ["task.positive", *(f"data.{name}" for name in READING)]
    for item in overrides:
        if item.partition("=")[0] not in may_differ:
            raise UserError(
                f"{item}: a trained run keeps its config, but for the class that f1 is of and how "
                f"a file is read: give only {', '.join(may_differ)}"
            )
    paths = [Path(item) for item in arguments if item not in overrides]
    if not paths:
        raise UserError("no RUN given: name the --workdir of `bertjax finetune`")
    return paths, overrides


def run(args: argparse.Namespace) -> None:
    """Print the scores."""
    require_devices()
    fusion, cfg = open_models(args)
    check_output("--out", args.out, args.data)
    account = row_account(cfg.data)
    examples, _ = read_examples(args.data, cfg, account=account)
    examples = learnt_examples(examples, cfg.task.labels, account)
    named, together = fusion.judge(examples)
    content = {}
    for name, task, scores in [*named, together] if len(named) > 1 else named:
        found = task.score(examples, scores)
        content[name] = found | {"report": with_convention(found.get("report"))}
        shown = " · ".join(f"{metric} {found[metric]:.4f}" for metric in task.metrics)
        print(f"{name:<24} {shown}")
    print(
        f"{len(examples):,} examples of {args.data}"
        + (f", {account.count:,} left out" if account.count else "")
    )
    print_account(account)
    said = conventions(cfg.task, metric_values(content[named[0].name]))
    for metric in together.task.metrics:
        print(f"by        {metric}: {said[metric]}")
    if args.out:
        write_json(args.out, {"data": args.data, "conventions": said, "scores": content})


def print_account(account: Account, to: TextIO | None = None) -> None:
    """Print what was read and left out, and what looks wrong; to standard output by default."""
    for word, rest in account.lines():
        print(f"{word:<10}{rest}", file=to)


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not numbers with commas between, such as 2,1"
        ) from None
