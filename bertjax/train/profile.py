"""A trace of some steps of a run, for xprof."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax

from bertjax.errors import UserError


def parse_steps(text: str, name: str = "--profile") -> range:
    """Read `START:STOP`, steps counted from 0, the second not included; `name` is the option's.

    Raises:
        UserError: it is anything else, or empty.
    """
    first, colon, last = text.partition(":")
    if not (colon and first.isdecimal() and last.isdecimal() and int(first) < int(last)):
        raise UserError(f"{name} {text}: give START:STOP with START below STOP, such as 100:110")
    return range(int(first), int(last))


class Profile:
    """Traces `steps` into `directory`, in the first process alone; nothing for no steps."""

    def __init__(self, steps: range, directory: Path):
        self.steps = steps if jax.process_index() == 0 else range(0)
        self.directory = directory
        self.runs = False
        self.traced = range(0)

    def before(self, step: int, state: Any) -> None:
        """To be called before each step; the steps outside of the trace are not waited for."""
        if not self.runs and step in self.steps:
            jax.block_until_ready(state)
            jax.profiler.start_trace(str(self.directory))
            self.runs, self.traced = True, range(step, self.steps.stop)
        elif self.runs and step >= self.steps.stop:
            self.end(step, state)

    def end(self, step: int, state: Any) -> None:
        """Write the trace, if one is being made, once the steps before `step` have made `state`."""
        if self.runs:
            jax.block_until_ready(state)
            jax.profiler.stop_trace()
            self.runs, self.traced = False, range(self.traced.start, step)

    @property
    def shortfall(self) -> str:
        """What is missing of the steps asked for, once the run has ended; empty for nothing."""
        if self.traced == self.steps:
            return ""
        found = f"steps {self.traced.start} to {self.traced.stop - 1}" if self.traced else "nothing"
        return (
            f"--profile {self.steps.start}:{self.steps.stop} traced {found}: "
            "this start of the run took no others of them"
        )
