"""What a run says as it goes: on the terminal, in metrics.jsonl, in TensorBoard."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

import jax
import numpy as np
from jax import Array

from bertjax.config import PretrainConfig
from bertjax.objectives.objective import Objective
from bertjax.runs.directory import RunDirectory
from bertjax.runs.log import MetricsFile, TensorBoard, Trackio, Writer
from bertjax.runs.record import Record, read_record
from bertjax.terminal import Terminal, duration
from bertjax.train.pace import Pace
from bertjax.train.state_hash import Hashes, end_hash
from bertjax.train.window import Window


class Diverged(Exception):
    """Loss or gradient was not finite for too many steps in a row, `step` the last of them."""

    def __init__(self, step: int, bad_steps: int):
        super().__init__(step, bad_steps)
        self.step, self.bad_steps = step, bad_steps


class Report:
    """Reads the metrics of each step one step late, so that no step is waited for.

    A context manager that closes the logs.
    """

    objective: Objective  # of the phase

    def __init__(
        self,
        cfg: PretrainConfig,
        run: RunDirectory,
        pace: Pace,
        terminal: Terminal,
        step: int,
    ):
        """`step` is the number of steps behind the run: later lines of its logs are dropped."""
        self.cfg, self.pace, self.terminal = cfg, pace, terminal
        self.tokens = 0  # real ones seen, over all starts of the run
        self.window = Window()
        self._pending: tuple[int, dict[str, Array]] | None = None  # of a step not yet read
        self._hash: tuple[int, Hashes] | None = None  # of a state, not yet read
        self._compiling_since: float | None = None  # until the first step of a shape has ended
        self._writers: list[Writer] = []
        if jax.process_index() == 0:
            if cfg.train.tensorboard:  # first, as it may not be installed
                self._writers.append(TensorBoard(run.path / "tensorboard", step))
            if cfg.train.trackio:
                self._writers.append(Trackio(run.path, dataclasses.asdict(cfg)))
            self._writers.append(MetricsFile(run.metrics, step))
        self._record = read_record(run.metrics) if self._writers else Record()

    def restore(self, meta: Mapping[str, Any]) -> None:
        """Go on from what `meta` returned."""
        self.tokens = meta["tokens"]
        self.window = Window(
            [{k: float(v) for k, v in step.items()} for step in meta["unreported"]]
        )

    def meta(self) -> dict[str, Any]:
        """What a resumed run needs, so that its next report is the unbroken run's."""
        # As text, since a loss may be no number that JSON has.
        unreported = [{k: repr(v) for k, v in step.items()} for step in self.window.metrics]
        return {"tokens": self.tokens, "unreported": unreported}

    def compiling(self, phase: int, objective: Objective) -> None:
        """Say that a phase begins, or goes on: the next step is the first of its shape."""
        shape, self.objective = self.cfg.data.phases[phase], objective
        self.window.compiling(self.cfg.in_phase(shape).networks, objective)
        self._compiling_since = time.monotonic()
        self.terminal.progress(f"compiling the step for {shape.batch_size} rows of {shape.seq_len}")

    def begins(self, step: int, environment: Mapping[str, str]) -> None:
        """Log what computes the steps after `step`, where the log does not say so already."""
        if self._record.environment_of(step + 1) != environment:
            self.write("environment", step, environment)

    def hash_due(self, step: int) -> bool:
        """Whether the hash of the state after `step` steps is to be logged."""
        every = self.cfg.train.hash_every
        return every > 0 and step % every == 0

    def hashed(self, step: int, hashes: Hashes) -> None:
        """Note the hash of the state after `step` steps; logged when steps are read next."""
        self._hash = (step, hashes)

    def took(self, step: int, metrics: dict[str, Array], segments: np.ndarray) -> None:
        """Note a step that was started, the `step`-th, and read the one before it.

        Raises:
            Diverged: the one before it was one too many.
        """
        self.read()
        self._pending = (step, metrics)
        self.window.add_batch(segments)

    def read(self, final: bool = False) -> None:
        """Wait for the step that is not yet read, and log what is due; `final`: in any case."""
        if self._pending is not None:
            self._read_step(*self._pending, final)
        if self._hash is not None:
            (step, hashes), self._hash = self._hash, None
            self._read_hash(step, end_hash(hashes))

    def _read_step(self, step: int, metrics: dict[str, Array], final: bool) -> None:
        self._pending = None
        values = {name: float(value) for name, value in jax.device_get(metrics).items()}
        self.window.add_metrics(values)
        self.tokens += int(values["tokens"])
        if values["bad_steps"]:
            self.terminal.say(f"step {step}: loss or gradient not finite; update skipped")
        if values["bad_steps"] >= self.cfg.train.max_bad_steps:
            raise Diverged(step, int(values["bad_steps"]))
        if step % self.cfg.train.log_every == 0 or final:
            report = self.window.report(self.pace.steps_left(step))
            self.write("train", step, report)
            self.terminal.progress(f"{self.pace.describe(step)} · {self.window.line(report)}")
        else:
            self._tick(step, values)
        self._compiling_since = None

    def _read_hash(self, step: int, found: str) -> None:
        logged = self._record.hashes.get(step)  # by a life before this one
        if logged is None:
            self.write("state", step, {"hash": found})
        elif logged != found:
            self.notes(
                [f"state {step} was restored as {found} and logged as {logged}: see bertjax replay"]
            )

    def pause(self) -> None:
        """Go on timing from now: something other than a step was done."""
        self.window.pause()

    def write(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        """Add a line to the logs."""
        for writer in self._writers:
            writer.write(kind, step, dict(values))

    def evaluated(self, step: int, phase: int, results: Mapping[str, float]) -> None:
        """Log a held-out evaluation and say how it went."""
        self.write("evaluation", step, {"phase": phase, **results})
        _, *others = self.objective.shown.items()
        shown = [f"{label} {results[name]:.4f}" for label, name in others]
        loss = next(iter(self.objective.shown.values()))
        by_corpus = [(corpus, f"{corpus}/{loss}") for corpus in self.cfg.data.names]
        shown += [f"{corpus} {results[name]:.4f}" for corpus, name in by_corpus if name in results]
        self.terminal.say(" · ".join([f"eval   step {step}", *self.held_out_loss(results), *shown]))

    def held_out_loss(self, results: Mapping[str, float]) -> list[str]:
        """What a line says of the loss on held-out text; nothing where none was measured."""
        if not results:
            return []
        label, name = next(iter(self.objective.shown.items()))
        of = ", averaged weights:" if self.cfg.optim.average else ""
        entropy = f"(unigram entropy {results['unigram_entropy']:.4f})"
        bits = f", {results['bits_per_byte']:.4f} bits a byte" if "bits_per_byte" in results else ""
        return [f"held-out{of} {label} {results[name]:.4f} {entropy}{bits}"]

    def notes(self, lines: Sequence[str]) -> None:
        """Say what a person should know of the run."""
        for line in lines:
            self.terminal.say(f"note   {line}")

    def _tick(self, step: int, values: dict[str, float]) -> None:
        """Show that there is life between reports: the first step, then once a second."""
        label, name = next(iter(self.objective.shown.items()))
        line = f"{self.pace.describe(step)} · {label} {values[name]:.4f}"
        if self._compiling_since is not None:
            took = duration(time.monotonic() - self._compiling_since)
            self.terminal.progress(f"{line} · the first step took {took}, compiling it included")
        else:
            self.terminal.pass_by(line)

    def __enter__(self) -> Report:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for writer in self._writers:
            writer.close()
        self.terminal.close()
