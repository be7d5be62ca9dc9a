"""`bertjax finetune`: a checkpoint and labelled files in, the best model and its scores out."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bertjax.cli.devices import require_devices
from bertjax.cli.fields import add_config, check_architecture, read_config
from bertjax.cli.signals import StopSignals
from bertjax.config import FinetuneConfig, ModelConfig
from bertjax.finetune.material import Start
from bertjax.finetune.run import finetune
from bertjax.finetune.saved import open_saved
from bertjax.finetune.settle import adopt_encoder
from bertjax.huggingface import no_tokenizer
from bertjax.overrides import apply_overrides
from bertjax.pretrained import open_pretrained
from bertjax.runs.kinds import Kind, kind_of
from bertjax.terminal import Terminal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `bertjax finetune`."""
    add_config(parser, "tune.epochs=5")
    parser.add_argument(
        "--init",
        type=Path,
        required=True,
        help="run of pretrain or finetune, or Hugging Face directory, to start from",
    )
    parser.add_argument(
        "--workdir", type=Path, required=True, help="the run's directory; resumed if it holds one"
    )


def run(args: argparse.Namespace) -> int:
    """Train, evaluate and write results; returns the exit code."""
    require_devices()
    recipe = read_config(args.config, FinetuneConfig)
    architecture, start = _start(args.init)
    sections = adopt_encoder(recipe, architecture)
    cfg = apply_overrides(recipe, args.overrides, **sections)
    check_architecture(args.overrides, cfg.model, architecture, start.source)
    with StopSignals() as signals:
        done = finetune(
            cfg,
            args.workdir,
            start,
            command=["bertjax", *sys.argv[1:]],
            stop=signals.asked,
            terminal=Terminal(),
        )
    return signals.exit_code(done.stopped)


def _start(path: Path) -> tuple[ModelConfig, Start]:
    """The architecture, and what to start from."""
    if kind_of(path) is Kind.FINETUNING:
        saved = open_saved(path)
        params = saved.parameters(saved.best)
        encoder = {name: leaf for name, leaf in params.items() if name != "head"}
        source = f"{saved.path} ({saved.best.name})"
        return saved.cfg.model, Start(source, encoder, saved.tokenizer, saved.cfg.task.name)
    found = open_pretrained(path, "--init")
    if found.tokenizer is None:
        raise no_tokenizer(path)
    return found.cfg, Start(found.source, found.params, found.tokenizer)
