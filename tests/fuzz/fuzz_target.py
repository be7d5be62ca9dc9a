"""What is fuzzed: a reader, the file that an input becomes, and small valid files to begin from."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bertjax.errors import UserError

LONGEST_MESSAGE = 4_000  # characters


class BadMessage(Exception):
    """A refusal that a person could not use."""


@dataclass(frozen=True)
class Target:
    """One reader of one file."""

    name: str
    file: str  # what the input is called in its folder
    read: Callable[[Path], Any]  # of the folder
    seeds: Callable[[], Sequence[bytes]]
    beside: Callable[[Path], None] = lambda folder: None  # makes the other files of the folder

    def attempt(self, folder: Path, data: bytes) -> str:
        """Read `data` as the file; returns the refusal, empty if it was read.

        Raises:
            BadMessage: the refusal is not one line with the name of the file or of its folder.
            BaseException: whatever else the reader raises, which is a finding.
        """
        (folder / self.file).write_bytes(data)
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                self.read(folder)
        except UserError as error:
            said = str(error)
        else:
            return ""
        if any(ord(letter) < 32 for letter in said) or len(said.splitlines()) > 1:
            raise BadMessage(f"not one line: {said!r:.300}")
        if len(said) > LONGEST_MESSAGE:
            raise BadMessage(f"{len(said)} characters: {said!r:.300}")
        if str(folder) not in said:
            raise BadMessage(f"does not name the file: {said!r:.300}")
        return said
