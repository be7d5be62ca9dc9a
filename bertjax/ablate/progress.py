"""The live line of a grid, and the log of each cell."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from bertjax.ablate.grid import Cell
from bertjax.terminal import Terminal, duration


class CellTerminal(Terminal):
    """What a cell says goes to its log; its progress goes to the live line of the grid."""

    def __init__(self, terminal: Terminal, heading: Callable[[], str], log: Path):
        """`heading` says which cell of how many this is, and how long all take from now on."""
        super().__init__(speaks=False)
        self._terminal, self._heading = terminal, heading
        log.parent.mkdir(parents=True, exist_ok=True)
        self._log = log.open("a", encoding="utf-8", buffering=1)

    def pass_by(self, text: str) -> None:
        """Replace the live line if it is a second old."""
        self._terminal.pass_by(f"{self._heading()} · {text}")

    def progress(self, text: str) -> None:
        """Replace the live line, and keep the text in the log."""
        self._log.write(text + "\n")
        self._terminal.progress(f"{self._heading()} · {text}")

    def say(self, text: str) -> None:
        """Write to the log alone."""
        self._log.write(text + "\n")

    def close(self) -> None:
        """The live line belongs to the grid, which goes on."""

    def end(self) -> None:
        """Close the log."""
        self._log.close()


class Clock:
    """How long the rest of a grid takes, from the cells that have ended in this process."""

    def __init__(self) -> None:
        self._seconds: dict[str, list[float]] = {}
        self._began = time.monotonic()

    def start(self) -> None:
        """A cell begins."""
        self._began = time.monotonic()

    def stop(self, cell: Cell) -> float:
        """A cell has ended; returns its seconds."""
        took = time.monotonic() - self._began
        self._seconds.setdefault(cell.arm, []).append(took)
        return took

    def left(self, todo: list[Cell]) -> str:
        """`, 1:02:03 to go` for the cells that are left, of which the first has begun.

        Each takes as long as those of its arm did, or as all did.
        """
        known = [seconds for of_arm in self._seconds.values() for seconds in of_arm]
        if not known:
            return ""
        mean = sum(known) / len(known)
        of_arm = {arm: sum(s) / len(s) for arm, s in self._seconds.items()}
        seconds = sum(of_arm.get(cell.arm, mean) for cell in todo)
        return f", {duration(seconds - (time.monotonic() - self._began))} to go"
