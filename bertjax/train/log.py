"""What a run says: a live line on the terminal, a JSON line in metrics.jsonl, TensorBoard."""

from __future__ import annotations

import contextlib
import io
import json
import math
import sys
import time
from pathlib import Path
from typing import Any, TextIO

from bertjax.checkpoint.manifest import replace_file
from bertjax.errors import UserError


class MetricsFile:
    """metrics.jsonl: one JSON object a line, in order of step, whole lines only.

    Opening it to continue at `step` drops what a killed run logged beyond that step, and a line
    it may have torn.
    """

    def __init__(self, path: Path, step: int):
        lines = []
        if path.exists():
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                try:
                    if json.loads(line)["step"] <= step:
                        lines.append(line + "\n")
                except (ValueError, KeyError, TypeError):
                    continue
        try:
            replace_file(path, "".join(lines).encode())
            self._file: TextIO = open(path, "a", encoding="utf-8", buffering=1)  # noqa: SIM115
        except OSError as error:
            raise UserError(f"{path} cannot be written ({error.strerror}): free the disk") from None

    def write(self, kind: str, step: int, values: dict[str, Any]) -> None:
        """Append {"kind", "step", ...}; what is not finite becomes null, as JSON has no NaN."""
        finite = {
            k: None if isinstance(v, float) and not math.isfinite(v) else v
            for k, v in values.items()
        }
        try:
            self._file.write(json.dumps({"kind": kind, "step": step, **finite}) + "\n")
        except OSError as error:
            raise UserError(
                f"{self._file.name} cannot be written ({error.strerror}): free the disk and run "
                "the same command again"
            ) from None

    def close(self) -> None:
        """Close the file."""
        with contextlib.suppress(OSError):  # a line that could not be written is tried again
            self._file.close()


class TensorBoard:
    """Scalars for TensorBoard, from the extra `bertjax[tensorboard]`.

    Opening it to continue at `step` hides what a killed run wrote beyond that step.
    """

    def __init__(self, directory: Path, step: int):
        try:
            from tensorboardX import SummaryWriter
        except ImportError:
            raise UserError(
                "train.tensorboard=true needs tensorboardX: pip install 'bertjax[tensorboard]', "
                "or set train.tensorboard=false"
            ) from None
        self._writer = SummaryWriter(str(directory), purge_step=step + 1)

    def write(self, kind: str, step: int, values: dict[str, Any]) -> None:
        """Write every number as `kind/name`."""
        for name, value in values.items():
            if isinstance(value, int | float):
                self._writer.add_scalar(f"{kind}/{name}", value, step)

    def close(self) -> None:
        """Flush and close."""
        self._writer.close()


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
