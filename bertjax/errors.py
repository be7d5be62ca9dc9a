"""The one kind of error a user can cause, and the exit codes of every command.

A `UserError` carries a message made of three things: the value seen, the limit it broke, and
the fix. The command line prints that one line and leaves with the error's exit code; anything
else that escapes is our bug and keeps its traceback. What a message cites of a file may hold line
ends, sequences that steer a terminal, or a megabyte: `printable` keeps it a line.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

EXIT_FAILED = 1  # of a grid, the cell that was asked for; Python's own of a traceback
EXIT_BAD_INPUT = 2  # configuration, data, files named by the user
EXIT_NON_FINITE = 3  # training diverged
EXIT_DAMAGED = 4  # no checkpoint verifies
EXIT_DIFFERS = 6  # a replay found another state than the run logged
EXIT_PREEMPTED = 75  # SIGTERM: saved; a queue may start the same command again
EXIT_REQUESTED = 76  # SIGUSR1: saved on request, e.g. a scheduler's time-limit warning
EXIT_INTERRUPTED = 130  # SIGINT (Ctrl-C): saved


_LONGEST = 2_000  # characters of a message, twice those of the longest that helped anyone
# Line ends of every kind and what else a terminal obeys; half surrogate pairs cannot be printed.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """A message as one line that can be printed: what cannot is escaped, the middle may be cut."""
    if len(text) > _LONGEST:
        half = _LONGEST // 2
        text = f"{text[:half]} ... {text[-half:]}"
    return _UNSEEN.sub(lambda found: ascii(found[0])[1:-1], text)


class UserError(Exception):
    """A mistake in what the user gave; `str(error)` is the whole message, one line."""

    def __init__(self, message: str, exit_code: int = EXIT_BAD_INPUT):
        super().__init__(printable(message))
        self.exit_code = exit_code


def nearest(name: str, choices: Iterable[str]) -> str:
    """Say which real choice a mistyped `name` is closest to, or list all of them."""
    choices = sorted(choices)
    close = difflib.get_close_matches(name, choices, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"choose from: {', '.join(choices)}"
