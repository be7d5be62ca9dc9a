"""What a run's log says of its states and of what computed them: the evidence of a replay."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from bertjax import written


@dataclass(frozen=True)
class Record:
    """The hashes of the states of a run, and the environments it went through."""

    hashes: dict[int, str] = field(default_factory=dict)  # steps behind the state -> its hash
    environments: dict[int, dict[str, str]] = field(default_factory=dict)  # from a step on -> it

    def environment_of(self, state: int) -> dict[str, str]:
        """What computed the state after so many steps."""
        return self.environments_of(state, state)[0]

    def environments_of(self, first: int, last: int) -> list[dict[str, str]]:
        """What computed the states after `first` to `last` steps, in order; of state 0, the first.

        One that is empty where the log does not say.
        """
        begun = [step for step in sorted(self.environments) if step < max(1, last)]
        before = [step for step in begun if step < max(1, first)]
        return [self.environments[step] for step in begun if step >= max(before, default=0)] or [{}]


def read_record(metrics: Path) -> Record:
    """Read a metrics.jsonl; torn lines are passed over, and a file that is not there is empty."""
    record = Record()
    for row in written.lines(metrics, {"kind": str, "step": int}):
        kind, step = row.pop("kind"), row.pop("step")
        if kind == "state" and isinstance(row.get("hash"), str):
            record.hashes[step] = row["hash"]
        elif kind == "environment":
            record.environments[step] = row
    return record
