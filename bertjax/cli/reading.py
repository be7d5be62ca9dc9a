"""Options and progress of the commands that make a corpus of a person's text."""

from __future__ import annotations

import argparse
import os
import sys
import time

from bertjax.data.build import BuildSettings, Progress
from bertjax.errors import UserError
from bertjax.terminal import duration


def add_reading(parser: argparse.ArgumentParser, held_out: float) -> None:
    """Declare how text is read; `held_out` is the share of documents that is, by default."""
    parser.add_argument("--language", default="auto", help="auto (by document), en or zh")
    parser.add_argument(
        "--held-out",
        type=float,
        default=held_out,
        help="share of documents held out for evaluation",
    )
    parser.add_argument(
        "--text-field", default="text", help="the field or column with the text, of all but .txt"
    )
    parser.add_argument(
        "--one-document-per-line", action="store_true", help="text files: no blank lines needed"
    )
    parser.add_argument(
        "--skip-bad",
        action="store_true",
        help="leave out and count documents and files that cannot be read, instead of stopping",
    )
    parser.add_argument("--workers", type=int, help="processes on this machine; default: all cores")


def settings_of(args: argparse.Namespace) -> BuildSettings:
    """What decides the bytes of the corpus; UserError for a value that cannot be."""
    if args.workers is not None and args.workers < 1:
        raise UserError(f"--workers {args.workers}: give at least 1")
    return BuildSettings(args.language, args.held_out)


def workers_of(args: argparse.Namespace) -> int:
    """How many processes tokenize."""
    return args.workers or os.cpu_count() or 1


class ProgressLine:
    """Documents, megabytes, speed and time left on standard error.

    Rewritten in place on a terminal; a line every ten seconds elsewhere.
    """

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._began = time.monotonic()
        self._shown = self._began

    def show(self, progress: Progress) -> None:
        """Say how far it has come, if that is due."""
        now, wait = time.monotonic(), 0.2 if self._terminal else 10
        if self._shown > self._began and progress.done == 1:
            wait = 0  # a reader who saw a share sees that all is read
        if now - self._shown < wait:
            return
        self._shown = now
        seconds = now - self._began
        left = seconds * (1 - progress.done) / progress.done if progress.done else 0.0
        megabytes = progress.text_bytes / 1e6
        line = (
            f"prepare {progress.done:4.0%}  {progress.documents:,} documents  "
            f"{megabytes:,.1f} MB  {1000 * megabytes / seconds:,.0f} kB/s  ETA {duration(left)}"
        )
        print(f"\r{line}\x1b[K" if self._terminal else line, end="", file=sys.stderr)
        print("" if self._terminal else "\n", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Let what others print begin a line of its own."""
        if self._terminal and self._shown > self._began:
            print(file=sys.stderr, flush=True)
