"""What a call that trains leaves behind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
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
        rows = []
        for path in sorted(self.directory.path.glob("**/metrics.jsonl")):
            model = {} if path == self.directory.metrics else {"model": path.parent.name}
            rows += [model | row for row in written.lines(path, {"kind": str, "step": int})]
        return rows
