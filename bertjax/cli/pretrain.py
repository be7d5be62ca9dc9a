"""`bertjax pretrain`: a corpus and a config in, a run out."""

from __future__ import annotations

import argparse
import contextlib
import sys
from dataclasses import replace
from pathlib import Path

from bertjax import cluster
from bertjax.cli.devices import require_devices
from bertjax.config import MaskingConfig, PretrainConfig
from bertjax.errors import UserError, nearest
from bertjax.objectives.presets import PRESETS
from bertjax.overrides import apply_overrides, load_config
from bertjax.train.initial import check_overrides, is_imported, read_imported, read_model
from bertjax.train.loop import pretrain
from bertjax.train.profile import parse_steps


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
        help="start from the weights and the architecture of a run or a Hugging Face directory",
    )
    parser.add_argument(
        "--masking", metavar="NAME", help=f"a published variant: {', '.join(sorted(PRESETS))}"
    )
    parser.add_argument(
        "--distributed",
        action="store_true",
        help="one of several processes: found from the cluster (TPU, Slurm, Open MPI, "
        "Kubernetes), or from JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID; "
        "BERTJAX_BARRIER_SECONDS (600) and BERTJAX_LOST_SECONDS (40) bound the wait for the others",
    )
    parser.add_argument(
        "--profile",
        type=parse_steps,
        default=range(0),
        metavar="START:STOP",
        help="trace these steps into the run's profile/, which xprof opens",
    )
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="such as train.steps=1000"
    )


def run(args: argparse.Namespace) -> int:
    """Train; returns the exit code."""
    cfg = load_config(args.config, PretrainConfig)
    if args.masking is not None:
        cfg = replace(cfg, masking=_preset(args.masking))
    named = [f"train.init={args.init}"] if args.init is not None else []
    cfg = apply_overrides(cfg, [*named, *args.overrides])
    with cluster.joined() if args.distributed else contextlib.nullcontext():
        return _train(cfg, args)


def _train(cfg: PretrainConfig, args: argparse.Namespace) -> int:
    require_devices()
    start_from = None
    if cfg.train.init or is_imported(args.workdir):
        start_from = (
            read_model(Path(cfg.train.init)) if cfg.train.init else read_imported(args.workdir)
        )
        start_from.check_corpus(Path(cfg.data.corpus))
        check_overrides(args.overrides, cfg.model, start_from.cfg, start_from.source)
    return pretrain(
        cfg,
        args.workdir,
        start_from=start_from,
        command=["bertjax", *sys.argv[1:]],
        profile=args.profile,
    )


def _preset(name: str) -> MaskingConfig:
    if name not in PRESETS:
        raise UserError(f"--masking {name}: {nearest(name, PRESETS)}")
    return PRESETS[name]
