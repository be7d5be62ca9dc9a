"""What a person sees of a run's models as they train, one after another."""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

from bertjax.terminal import Terminal, count, duration


class Progress:
    """Lines about steps, and about what takes long without one; shared by the models of a run."""

    def __init__(self, terminal: Terminal):
        self.terminal = terminal
        self._compiled: set[Hashable] = set()

    def begin(self, model: str, step: int, total: int, batch_size: int) -> None:
        """An epoch of a model begins after `step` of its `total` steps."""
        self.model, self.total, self.batch_size = model, total, batch_size
        self._since, self._began, self._compiling = step, time.monotonic(), 0.0

    @contextmanager
    def first_of(self, form: Hashable, what: str) -> Iterator[None]:
        """Say that `what` is compiled, where nothing of that form has been run before.

        How long that takes is no part of the pace that is told.
        """
        if form in self._compiled:
            yield
            return
        self._compiled.add(form)
        began = time.monotonic()
        self.terminal.progress(f"{self.model} · compiling {what}")
        yield
        took = time.monotonic() - began
        self._compiling += took
        self.terminal.progress(f"{self.model} · {what} took {duration(took)}, compiling included")

    def step(self, step: int, loss: float) -> None:
        """Show how far the model is, how fast, and for how long it goes on."""
        seconds = time.monotonic() - self._began - self._compiling
        rate = max(1e-9, seconds / max(1, step - self._since))
        self.terminal.progress(
            f"{self.model} · step {step:>{len(str(self.total))}}/{self.total} · "
            f"loss {loss:.4f} · {count(self.batch_size / rate)} examples/s · "
            f"ETA {duration(rate * (self.total - step))}"
        )

    def waiting(self, model: str, what: str) -> None:
        """Show that there is life where there are no steps."""
        self.terminal.pass_by(f"{model} · {what}")
