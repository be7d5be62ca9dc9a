"""What a command shows a person as it goes, and how numbers and times are written."""

from __future__ import annotations

import io
import sys
import time
from typing import TextIO


class Terminal:
    """One live line on a terminal; one line per report where output is a file."""

    def __init__(self, speaks: bool = True):
        """`speaks=False` for every process of a run but the first."""
        self._stream: TextIO = sys.stderr if speaks else io.StringIO()
        self._live = self._stream.isatty()
        self._width = 0
        self._shown = 0.0  # when the live line last changed

    def pass_by(self, text: str) -> None:
        """Replace the live line, if there is one and it is a second old."""
        if self._live and time.monotonic() - self._shown > 1:
            self.progress(text)

    def progress(self, text: str) -> None:
        """Replace the live line, or print a line of its own."""
        if self._live:
            self._stream.write("\r" + text.ljust(self._width))
            self._width = len(text)
            self._shown = time.monotonic()
        else:
            self._stream.write(text + "\n")
        self._stream.flush()

    def say(self, text: str) -> None:
        """Print a line that stays."""
        if self._live and self._width:
            self._stream.write("\n")
            self._width = 0
        self._stream.write(text + "\n")
        self._stream.flush()

    def close(self) -> None:
        """End the live line, so that what others print begins a line of its own."""
        if self._live and self._width:
            self._stream.write("\n")
            self._width = 0


SILENT = Terminal(speaks=False)


def duration(seconds: float) -> str:
    """`1:02:03` or `2:03`."""
    seconds = max(0, round(seconds))
    hours, rest = divmod(seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def count(n: float) -> str:
    """`950`, `12.3k`, `4.4M`, `1.2G`."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if n >= size:
            return f"{n / size:.1f}{unit}"
    return f"{n:.0f}"
