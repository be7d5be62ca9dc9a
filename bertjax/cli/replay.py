"""`bertjax replay`: steps of a run once more, and the first state that is not the run's."""

from __future__ import annotations

import argparse
from pathlib import Path

from bertjax.cli.devices import require_devices
from bertjax.cli.fields import add_fields
from bertjax.errors import EXIT_DIFFERS
from bertjax.overrides import apply_overrides
from bertjax.pretrained import run_config
from bertjax.runs.kinds import Kind, require_kind
from bertjax.terminal import Terminal
from bertjax.train.profile import parse_steps
from bertjax.train.replay import Replay, replay


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `bertjax replay`."""
    parser.add_argument("run", type=Path, metavar="RUN", help="a run of `bertjax pretrain`")
    parser.add_argument(
        "steps",
        metavar="A:B",
        help="the steps to repeat, from the newest checkpoint at or before A; what is compared "
        "are the states after A to B steps",
    )
    add_fields(parser, "data.corpus=DIRECTORY, or another field that may change on resuming")


def run(args: argparse.Namespace) -> int:
    """Compare; returns 0 if all states are the run's."""
    steps = parse_steps(args.steps, "A:B")
    require_kind("RUN", args.run, Kind.PRETRAINING)
    require_devices()
    terminal = Terminal()
    found = replay(args.run, steps, apply_overrides(run_config(args.run), args.overrides), terminal)
    terminal.close()
    print("\n".join(_verdict(found)))
    return 0 if found.first_difference is None else EXIT_DIFFERS


def _verdict(found: Replay) -> list[str]:
    first, others = found.first_difference, found.compared[:-1]
    if first is None:
        *_, last = found.compared
        return [f"same   {len(found.compared)} states, bit for bit, up to step {last.step}"]
    after = f"after the state of step {others[-1].step}, which is the same" if others else "at once"
    lines = [f"differs  the state of step {first.step} is the first that differs, {after}"]
    if found.changed:
        return [
            *lines,
            f"cause    perhaps what computes here otherwise ({'; '.join(found.changed)}): "
            "replay with what the run had before suspecting anything else",
        ]
    return [
        *lines,
        "cause    nothing else computes here, so a state was changed silently, in the run or in "
        "this replay: repeat it; if it differs the same way, go back to the checkpoint before",
    ]
