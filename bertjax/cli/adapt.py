"""`bertjax adapt`: a model and the text of a domain in, a run that goes on with it out."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from bertjax.adapt.begin import DomainText, Start, open_start
from bertjax.adapt.record import read
from bertjax.adapt.run import adapt
from bertjax.cli.devices import require_devices
from bertjax.cli.fields import add_fields
from bertjax.cli.reading import ProgressLine, add_reading, settings_of, workers_of
from bertjax.cli.signals import StopSignals
from bertjax.errors import UserError
from bertjax.terminal import Terminal
from bertjax.text.account import Account
from bertjax.text.chunks import SKIP_HINT
from bertjax.text.sources import find_sources

_FIELD = re.compile(r"[a-z_]+(\.\w+)*=")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `bertjax adapt`."""
    add_fields(parser, "vocabulary.add=2000 replay.corpus=data/wiki train.minutes=60")
    parser.add_argument(
        "--init",
        help="run of pretrain or Hugging Face directory to go on with; needed when the run begins",
    )
    parser.add_argument(
        "--text",
        nargs="+",
        default=[],
        metavar="TEXT",
        help="text of the domain, as for `bertjax prepare`; needed when the run begins",
    )
    parser.add_argument(
        "--workdir", type=Path, required=True, help="the run's directory; resumed if it holds one"
    )
    add_reading(parser, held_out=0.05)


def run(args: argparse.Namespace) -> int:
    """Adapt, and show what was gained and forgotten; returns the exit code."""
    # Fields that stand right after --text are its values to argparse.
    fields = [item for item in args.text if _FIELD.match(item) and not Path(item).exists()]
    names = [item for item in args.text if item not in fields]
    terminal, progress = Terminal(), ProgressLine()
    account = Account(args.skip_bad, SKIP_HINT)
    text = _text(args, names, account, progress) if names else None
    require_devices()
    with StopSignals() as signals:
        done = adapt(
            args.workdir,
            _start(args, terminal),
            text,
            [*args.overrides, *fields],
            command=["bertjax", *sys.argv[1:]],
            stop=signals.asked,
            terminal=terminal,
        )
    return signals.exit_code(done.stopped)


def _text(
    args: argparse.Namespace, names: list[str], account: Account, progress: ProgressLine
) -> DomainText:
    for name in names:
        if name == "-" or Path(name).is_fifo():
            raise UserError(f"--text {name}: the text is read twice: save it in a file first")
    sources = find_sources(names, args.text_field, args.one_document_per_line, account)
    return DomainText(sources, settings_of(args), account, workers_of(args), progress.show)


def _start(args: argparse.Namespace, terminal: Terminal) -> Start | None:
    """The model to begin with; an adaptation that goes on can do without."""
    if args.init is None:
        return None
    if not Path(args.init).exists() and read(args.workdir) is not None:
        terminal.say(f"note   --init {args.init} is not there; the run has its weights")
        return None
    return open_start(Path(args.init))
