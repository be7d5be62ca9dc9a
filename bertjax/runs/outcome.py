"""What a call that trains leaves behind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bertjax import written
from bertjax.runs.directory import RunDirectory

# Asked between steps whether to end: the reason in a word, such as SIGTERM, or None to go on.
Stop = Callable[[], str | None]


def never() -> None:
    """Train to the end."""


@dataclass(frozen=True)
class Run:
    """A run of `pretrain` or `finetune`, ended or stopped."""

    directory: RunDirectory
    results: Mapping[str, Any]  # pretraining: the last evaluation; fine-tuning: its results.json
    stopped: str | None = None  # why it ended early: all is saved, the same call goes on

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """All that was logged, in order, torn lines aside; of a fine-tuned run by `model`."""
        own = self.directory.metrics
        if own.exists():  # what lies below is another run
            return logged(own)
        models = sorted(self.directory.path.glob("**/metrics.jsonl"))
        return [{"model": path.parent.name} | row for path in models for row in logged(path)]


def logged(path: Path) -> list[dict[str, Any]]:
    """The lines of a metrics.jsonl, torn ones aside."""
    return written.lines(path, {"kind": str, "step": int})
