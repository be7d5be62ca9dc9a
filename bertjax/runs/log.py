"""What a run writes down as it goes: a JSON line in metrics.jsonl, TensorBoard, trackio."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any, Protocol, TextIO

from bertjax import written
from bertjax.durable import finite, replace_file
from bertjax.errors import UserError


class Writer(Protocol):
    """Where numbers of a run go."""

    def write(self, kind: str, step: int, values: dict[str, Any]) -> None:
        """Note the values of a step; `kind` is what they are about: train, evaluation."""

    def close(self) -> None:
        """Nothing more will come."""


class MetricsFile:
    """metrics.jsonl: one JSON object a line, in order of step, whole lines only.

    Opening it to continue at `step` drops what a killed run logged beyond that step, and a line
    it may have torn.
    """

    def __init__(self, path: Path, step: int):
        rows = [row for row in written.lines(path, {"step": int}) if row["step"] <= step]
        lines = [json.dumps(row) + "\n" for row in rows]
        try:
            replace_file(path, "".join(lines).encode())
            self._file: TextIO = open(path, "a", encoding="utf-8", buffering=1)  # noqa: SIM115
        except OSError as error:
            raise UserError(f"{path} cannot be written ({error.strerror}): free the disk") from None

    def write(self, kind: str, step: int, values: dict[str, Any]) -> None:
        """Append {"kind", "step", ...}; what is not finite becomes null, as JSON has no NaN."""
        try:
            self._file.write(json.dumps({"kind": kind, "step": step, **finite(values)}) + "\n")
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
        for name, value in _numbers(kind, values).items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Flush and close."""
        self._writer.close()


class Trackio:
    """Numbers for trackio, from the extra `bertjax[trackio]`.

    A run is called as its directory, its project as the directory above. What is logged again after
    a kill stands beside what was there: trackio takes nothing back.
    """

    def __init__(self, path: Path, config: dict[str, Any]):
        try:
            import trackio
        except ImportError:
            raise UserError(
                "train.trackio=true needs trackio: pip install 'bertjax[trackio]', or set "
                "train.trackio=false"
            ) from None
        project, name = path.parent.name, path.name
        self._run = trackio.init(project, name, config=config, resume="allow", embed=False)

    def write(self, kind: str, step: int, values: dict[str, Any]) -> None:
        """Write every number as `kind/name`."""
        if found := _numbers(kind, values):
            self._run.log(found, step=step)

    def close(self) -> None:
        """Wait until all is sent."""
        self._run.finish()


def _numbers(kind: str, values: dict[str, Any]) -> dict[str, int | float]:
    return {f"{kind}/{k}": v for k, v in values.items() if isinstance(v, int | float)}
