"""Means and rates over the steps since the last report."""

from __future__ import annotations

import time
from collections.abc import Sequence

import jax
import numpy as np

from bertjax import flops
from bertjax.config import ModelConfig
from bertjax.objectives.objective import Objective
from bertjax.terminal import count, duration

_OF_THE_STEP = ("learning_rate", "gradient_norm", "predicted", "tokens", "bad_steps", "skipped")


class Window:
    """The steps since the last report; what is not a step (compiling, evaluation) is not timed.

    All are of one phase.
    """

    networks: Sequence[ModelConfig]  # of the phase, as is what they learn
    objective: Objective

    def __init__(self, metrics: Sequence[dict[str, float]] = ()):
        """`metrics`: of the steps that a resumed run had not reported when it was saved."""
        peak = flops.peak_flops(jax.devices()[0].device_kind)
        self.peak = peak * jax.device_count() if peak else None
        self.metrics = list(metrics)
        # One a batch; the first belongs to the first of `metrics`.
        self.attended = [0] * len(self.metrics)
        self.began: float | None = None  # when the last untimed step ended
        self.untimed = len(self.metrics)  # steps at the front of it from before `began`

    def add_batch(self, segments: np.ndarray) -> None:
        """Note the shape of attention in this process's share [B, T] of a batch."""
        self.attended.append(flops.attended_keys(segments) * jax.process_count())

    def add_metrics(self, values: dict[str, float]) -> None:
        """Note the metrics of a step that has ended. The first of a shape includes compiling."""
        self.metrics.append(values)
        if self.began is None:
            self.began, self.untimed = time.monotonic(), len(self.metrics)

    def compiling(self, networks: Sequence[ModelConfig], objective: Objective) -> None:
        """The next step is the first of a phase, or of one that goes on: time from its end."""
        self.networks, self.objective, self.began = networks, objective, None

    def pause(self) -> None:
        """Something other than a step was done: go on timing from now."""
        self.began, self.untimed = time.monotonic(), len(self.metrics)

    def report(self, steps_left: float | None) -> dict[str, float]:
        """Means of the objective's metrics, the last of the step's own, rates; begins anew."""
        n = len(self.metrics)
        report = {
            k: v if k in _OF_THE_STEP else sum(m[k] for m in self.metrics) / n
            for k, v in self.metrics[-1].items()
        }
        timed = self.metrics[self.untimed :]
        if timed and self.began is not None:
            seconds = time.monotonic() - self.began
            tokens = sum(m["tokens"] for m in timed)
            predicted = sum(m["predicted"] for m in timed)
            work = flops.training_flops(
                self.networks, tokens, sum(self.attended[self.untimed : n]), predicted
            )
            report["tokens_per_second"] = tokens / seconds
            report["model_flops_per_second"] = work / seconds
            if self.peak:
                report["model_flops_utilisation"] = work / seconds / self.peak
            if steps_left is not None:
                report["seconds_left"] = steps_left * seconds / len(timed)
        self.metrics, self.attended = [], self.attended[n:]
        self.began, self.untimed = time.monotonic(), 0
        return report

    def line(self, report: dict[str, float]) -> str:
        """The live progress line, without the step."""
        parts = [f"{label} {report[name]:.4f}" for label, name in self.objective.shown.items()]
        parts += [f"lr {report['learning_rate']:.2e}", f"|g| {report['gradient_norm']:.2f}"]
        if "tokens_per_second" in report:
            parts.append(f"{count(report['tokens_per_second'])} tok/s")
            if "model_flops_utilisation" in report:
                parts.append(f"MFU {report['model_flops_utilisation']:.1%}")
            if "seconds_left" in report:
                parts.append(f"ETA {duration(report['seconds_left'])}")
        return " · ".join(parts)
