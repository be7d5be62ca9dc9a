"""`bertjax finetune`: a checkpoint and labelled files in, the best model and its scores out."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bertjax.cli.devices import require_devices
from bertjax.config import FinetuneConfig
from bertjax.errors import UserError
from bertjax.finetune.run import Start, finetune
from bertjax.finetune.saved import is_finetuned, open_saved
from bertjax.finetune.settle import adopt_encoder
from bertjax.overrides import apply_overrides, load_config
from bertjax.train.initial import check_overrides, read_model


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `bertjax finetune`."""
    parser.add_argument(
        "--config",
        type=Path,
        required=True,
        help="Python file with get_config(), or the config.json of a run",
    )
    parser.add_argument(
        "--init",
        type=Path,
        required=True,
        help="run of pretrain or finetune, or Hugging Face directory, to start from",
    )
    parser.add_argument(
        "--workdir", type=Path, required=True, help="the run's directory; resumed if it holds one"
    )
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="such as tune.epochs=5")


def run(args: argparse.Namespace) -> int:
    """Train, evaluate and write results; returns the exit code."""
    require_devices()
    cfg = load_config(args.config, FinetuneConfig)
    architecture, start = _start(args.init)
    cfg = adopt_encoder(cfg, architecture)
    cfg = apply_overrides(cfg, args.overrides)
    check_overrides(args.overrides, cfg.model, architecture, start.source)
    return finetune(cfg, args.workdir, start, command=["bertjax", *sys.argv[1:]])


def _start(path: Path):
    """The architecture, and what to start from."""
    if is_finetuned(path):
        saved = open_saved(path)
        params = saved.parameters(saved.best)
        encoder = {name: leaf for name, leaf in params.items() if name != "head"}
        source = f"{saved.path} ({saved.best.name})"
        start = Start(source, encoder, saved.tokenizer, saved.cfg.task.name)
        return saved.cfg.model, start
    initial = read_model(path)
    if initial.tokenizer is None:
        raise UserError(
            f"{path} has no tokenizer.json or vocab.txt: put the model's tokenizer there"
        )
    return initial.cfg, Start(initial.source, initial.params, initial.tokenizer)
