"""`bertjax pretrain`: a corpus and a config in, a run out."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import jax

from bertjax.config import PretrainConfig
from bertjax.overrides import apply_overrides, from_json, load_config_file
from bertjax.train.initial import is_imported, read_model
from bertjax.train.loop import pretrain


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `bertjax pretrain`."""
    parser.add_argument(
        "--config",
        type=Path,
        required=True,
        help="Python file with get_config(), or the config.json of a run",
    )
    parser.add_argument(
        "--workdir", type=Path, required=True, help="the run's directory; resumed if it holds one"
    )
    parser.add_argument(
        "--init",
        type=Path,
        help="start from the weights of a run or of a Hugging Face directory",
    )
    parser.add_argument(
        "--distributed",
        action="store_true",
        help="one of several processes: found from the cluster (TPU, Slurm, Open MPI), or from "
        "JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID",
    )
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="such as train.steps=1000"
    )


def run(args: argparse.Namespace) -> int:
    """Train; returns the exit code."""
    if args.config.suffix == ".json":
        cfg = from_json(PretrainConfig, _read(args.config))
    else:
        cfg = load_config_file(args.config, PretrainConfig)
    cfg = apply_overrides(cfg, args.overrides)
    if args.distributed:
        _join_cluster()
    start_from = None
    init = args.init or (args.workdir if is_imported(args.workdir) else None)
    if init is not None:
        initial = read_model(init)
        initial.check_corpus(Path(cfg.data.corpus))
        start_from = (initial.cfg, initial.params)
    return pretrain(cfg, args.workdir, start_from=start_from, command=["bertjax", *sys.argv[1:]])


def _read(path: Path) -> str:
    from bertjax.errors import UserError

    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read config {path}: {error}") from None


def _join_cluster() -> None:
    """Join the other processes; must come before anything asks JAX for its devices."""
    address = os.environ.get("JAX_COORDINATOR_ADDRESS")
    if address is None:
        jax.distributed.initialize()
    else:
        jax.distributed.initialize(
            address,
            int(os.environ["JAX_NUM_PROCESSES"]),
            int(os.environ["JAX_PROCESS_ID"]),
        )
