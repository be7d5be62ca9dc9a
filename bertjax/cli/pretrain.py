"""`bertjax pretrain`: a corpus and a config in, a run out."""

from __future__ import annotations

import argparse
import contextlib
import sys
from dataclasses import replace
from pathlib import Path

import jax

from bertjax import cluster
from bertjax.checkpoint import CheckpointStore
from bertjax.cli.devices import require_devices
from bertjax.cli.fields import add_config, check_architecture, typed_value
from bertjax.cli.signals import StopSignals
from bertjax.config import MaskingConfig, ModelConfig, PretrainConfig
from bertjax.errors import UserError, nearest
from bertjax.huggingface import obstacle_to_export
from bertjax.objectives.presets import PRESETS
from bertjax.overrides import apply_overrides
from bertjax.pretrained import Pretrained, is_imported, open_imported, open_pretrained, run_config
from bertjax.recipes.shipped import load_recipe
from bertjax.runs.directory import RunDirectory
from bertjax.runs.kinds import kind_of
from bertjax.terminal import Terminal
from bertjax.train.loop import pretrain
from bertjax.train.profile import parse_steps


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `bertjax pretrain`."""
    add_config(parser, "train.steps=1000")
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


def run(args: argparse.Namespace) -> int:
    """Train; returns the exit code."""
    recipe = load_recipe(args.config, PretrainConfig)
    if args.masking is not None:
        recipe = replace(recipe, masking=_preset(args.masking))
    typed = [f"train.init={args.init}"] if args.init is not None else []
    typed += args.overrides
    with (
        cluster.joined() if args.distributed else contextlib.nullcontext(),
        StopSignals() as signals,
    ):
        require_devices()
        terminal = Terminal(speaks=jax.process_index() == 0)
        init = typed_value(typed, "train.init")
        start_from = _start(args.workdir, recipe.train.init if init is None else init, terminal)
        brought = start_from.cfg if start_from else _architecture_of_run(args.workdir)
        sections = {"model": recipe.model_on(brought)} if brought else {}
        cfg = apply_overrides(recipe, typed, **sections).with_trained_heads(brought)
        if start_from is not None:
            check_architecture(args.overrides, cfg.model, start_from.cfg, start_from.source)
        for network in cfg.networks:
            if obstacle := obstacle_to_export(network):
                terminal.say(f"note   this cannot be exported as it is: {obstacle}")
        done = pretrain(
            cfg,
            args.workdir,
            start_from=start_from,
            command=["bertjax", *sys.argv[1:]],
            profile=args.profile,
            stop=signals.asked,
            terminal=terminal,
        )
    return signals.exit_code(done.stopped)


def _start(workdir: Path, init: str, terminal: Terminal) -> Pretrained | None:
    """The weights to begin with; a run that has a checkpoint can do without them."""
    if not init:
        return open_imported(workdir) if is_imported(workdir) else None
    if kind_of(Path(init)) is None and _has_checkpoint(workdir):
        terminal.say(f"note   --init {init} is not there; the run has its weights")
        return None
    return open_pretrained(Path(init), "--init")


def _has_checkpoint(workdir: Path) -> bool:
    store = CheckpointStore(RunDirectory(workdir.absolute()).checkpoints, keep=1)
    return store.read_meta() is not None


def _architecture_of_run(workdir: Path) -> ModelConfig | None:
    """What `--init` brought to a run that goes on without it."""
    if not _has_checkpoint(workdir):
        return None
    before = run_config(workdir)
    return before.model if before.train.init else None


def _preset(name: str) -> MaskingConfig:
    if name not in PRESETS:
        raise UserError(f"--masking {name}: {nearest(name, PRESETS)}")
    return PRESETS[name]
