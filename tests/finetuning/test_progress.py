"""What is said while models train: what is compiled, and a time left that does not count it."""

from __future__ import annotations

import pytest

from bertjax.finetuning import progress
from bertjax.finetuning.progress import Progress
from bertjax.terminal import Terminal


class Lines(Terminal):
    """Keeps what is shown."""

    def __init__(self):
        super().__init__(speaks=False)
        self.lines: list[str] = []

    def progress(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still but for what is added to it."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_compiling_is_said_once_and_is_no_part_of_the_time_left(clock):
    terminal = Lines()
    shown = Progress(terminal)
    for model in ("seed-0", "seed-1"):
        shown.begin(model, 0, 100, 16)
        for step in range(1, 11):
            with shown.first_of("form", "the first step"):
                clock[0] += 300 if (model, step) == ("seed-0", 1) else 0
            clock[0] += 2
        shown.step(10, 0.5)
    assert terminal.lines == [
        "seed-0 · compiling the first step",
        "seed-0 · the first step took 5:00, compiling included",
        "seed-0 · step  10/100 · loss 0.5000 · 8 examples/s · ETA 3:00",
        "seed-1 · step  10/100 · loss 0.5000 · 8 examples/s · ETA 3:00",
    ]


def test_a_resumed_epoch_is_timed_from_where_it_goes_on(clock):
    terminal = Lines()
    shown = Progress(terminal)
    shown.begin("seed-0", 90, 100, 16)
    clock[0] += 10
    shown.step(95, 0.5)
    assert terminal.lines[-1].endswith("ETA 0:10")
