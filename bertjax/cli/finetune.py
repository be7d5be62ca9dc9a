"""`bertjax finetune`: a checkpoint and labelled files in, the best model and its scores out."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from bertjax.cli.devices import require_devices
from bertjax.cli.fields import add_config, check_architecture
from bertjax.cli.signals import StopSignals
from bertjax.config import FinetuneConfig, ModelConfig, PretrainConfig
from bertjax.errors import UserError
from bertjax.finetuning.material import RANDOM_WEIGHTS, Start
from bertjax.finetuning.run import finetune
from bertjax.finetuning.same_run import start_of
from bertjax.finetuning.saved import open_start
from bertjax.finetuning.settle import adopt_encoder
from bertjax.huggingface import obstacle_to_export
from bertjax.overrides import apply_overrides
from bertjax.recipes.shipped import load_recipe
from bertjax.runs.kinds import Kind, kind_of
from bertjax.terminal import Terminal
from bertjax.text.tokenizer import load_tokenizer

RANDOM = "random"  # given to --init


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `bertjax finetune`."""
    add_config(parser, "tune.epochs=5")
    parser.add_argument(
        "--init",
        help="run of pretrain or finetune, or Hugging Face directory, to start from; "
        "random: new weights; a run that goes on needs none",
    )
    parser.add_argument(
        "--architecture",
        metavar="RECIPE",
        help="with --init random: the pretraining recipe whose model.* it has, such as bert_mini",
    )
    parser.add_argument(
        "--tokenizer",
        type=Path,
        help="with --init random: a vocab.txt, tokenizer.json or .model, or a directory with one",
    )
    parser.add_argument(
        "--workdir", type=Path, required=True, help="the run's directory; resumed if it holds one"
    )


def run(args: argparse.Namespace) -> int:
    """Train, evaluate and write results; returns the exit code."""
    require_devices()
    recipe = load_recipe(args.config, FinetuneConfig)
    architecture, start = _start(args, recipe)
    sections = adopt_encoder(recipe, architecture)
    cfg = apply_overrides(recipe, args.overrides, **sections)
    check_architecture(args.overrides, cfg.model, architecture, start.source)
    terminal = Terminal()
    if obstacle := obstacle_to_export(cfg.model, cfg.head, cfg.task.family):
        terminal.say(f"note   this cannot be exported as it is: {obstacle}")
    if start.is_of_run and args.init is not None:
        terminal.say(f"note   what --init {args.init} names is not there; the run has its own")
    with StopSignals() as signals:
        done = finetune(
            cfg,
            args.workdir,
            start,
            command=["bertjax", *sys.argv[1:]],
            stop=signals.asked,
            terminal=terminal,
        )
    return signals.exit_code(done.stopped)


def _start(args: argparse.Namespace, recipe: FinetuneConfig) -> tuple[ModelConfig, Start]:
    """The architecture, and what to start from."""
    if _is_gone(args) and kind_of(args.workdir) is Kind.FINETUNING:
        return start_of(args.workdir)
    if args.init is None:
        raise UserError(
            f"--init is missing, and {args.workdir} is no run that could go on: give a run or a "
            f"Hugging Face directory to start from, or {RANDOM}"
        )
    if args.init == RANDOM:
        return _random(args, recipe)
    for name in ("architecture", "tokenizer"):
        if getattr(args, name) is not None:
            raise UserError(
                f"--{name} {getattr(args, name)} with --init {args.init}: its model brings its "
                f"own; leave the option out, or start with --init {RANDOM}"
            )
    return open_start(Path(args.init))


def _is_gone(args: argparse.Namespace) -> bool:
    """Whether what the run would start from is not named, or not there any more."""
    if args.init == RANDOM:
        return args.tokenizer is not None and not args.tokenizer.exists()
    return args.init is None or not Path(args.init).exists()


@dataclass(frozen=True)
class _Architecture:
    """What is set by model.* alone, before the rest of the config can be checked against it."""

    model: ModelConfig


def _random(args: argparse.Namespace, recipe: FinetuneConfig) -> tuple[ModelConfig, Start]:
    """A new model, of which every seed makes its own weights."""
    if args.tokenizer is None:
        raise UserError(
            f"--init {RANDOM} without --tokenizer: give a vocab.txt, a tokenizer.json or a "
            "directory with one, such as that in a corpus or a run"
        )
    tokenizer = load_tokenizer(args.tokenizer)
    model = recipe.model
    if args.architecture is not None:
        model = load_recipe(args.architecture, PretrainConfig, "--architecture").model
    typed = [item for item in args.overrides if item.startswith("model.")]
    model = apply_overrides(_Architecture(model), typed).model
    size = model.vocab_size or tokenizer.vocab_size
    if size < tokenizer.vocab_size:
        raise UserError(
            f"model.vocab_size={size}, but {args.tokenizer} has {tokenizer.vocab_size} pieces: "
            "use at least that many, or leave the option out"
        )
    return replace(model, vocab_size=size), Start(RANDOM_WEIGHTS, {}, tokenizer)
