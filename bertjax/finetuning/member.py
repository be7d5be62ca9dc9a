"""Train one model of a fine-tuning run: one seed, and one fold where there are folds.

member directory (`seed-0/`, `seed-0-fold-3/`; of a round of teaching `seed-0/round-1/`)
  checkpoints/          the newest state, for resuming
  best/                 parameters of the best epoch; of few weights those that were trained
  metrics.jsonl         loss as it went, losses and dev metrics of each epoch
  result.json           written last: what the run's results are made of
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from bertjax import sharding, written
from bertjax.checkpoint import CheckpointStore
from bertjax.config import FinetuneConfig
from bertjax.durable import finite, write_json
from bertjax.errors import EXIT_NON_FINITE, UserError
from bertjax.finetuning import parameters
from bertjax.finetuning.batches import Beside, Plan, training_plan
from bertjax.finetuning.inference import Predictor, to_devices
from bertjax.finetuning.layout import Form
from bertjax.finetuning.material import Encoded
from bertjax.finetuning.progress import Progress
from bertjax.finetuning.settle import method_of
from bertjax.finetuning.step import Batch, Pace, Steps, TuneState
from bertjax.finetuning.unfreezing import lowest_depth
from bertjax.finetuning.words import small_table
from bertjax.optim.schedules import Turns, turns
from bertjax.runs.log import MetricsFile
from bertjax.runs.outcome import Stop
from bertjax.tasks.task import Rows, Scores, Task

# What result.json and results.json say of a model, as `written.read` has it.
MEASURED = {
    "fold": (int, None),
    "best_epoch": int,
    "epochs": int,
    "steps": int,
    "tokens": int,
    "dev": {str: written.NULLABLE},
    "seconds_per_epoch": written.NUMBER,
    "history": [{str: written.NULLABLE}],
}
MAX_BAD_STEPS = 10  # non-finite steps in a row before giving up


@dataclass(frozen=True)
class Member:
    """One model to train."""

    seed: int
    fold: int | None
    run: Path
    round: int | None = None  # of a teacher or student, from which the model of the run is taken

    @property
    def name(self) -> str:
        """`seed-0`, `seed-0-fold-3` or `seed-0/round-1`."""
        fold = "" if self.fold is None else f"-fold-{self.fold}"
        return f"seed-{self.seed}{fold}" + ("" if self.round is None else f"/round-{self.round}")

    @property
    def directory(self) -> Path:
        """Where everything of this model lies."""
        return self.run / self.name

    @property
    def newest(self) -> Path:
        """Store of the newest state, for resuming."""
        return self.directory / "checkpoints"

    @property
    def best(self) -> Path:
        """Store of the best epoch's parameters."""
        return self.directory / "best"

    @property
    def result(self) -> Path:
        """Written when the model is done."""
        return self.directory / "result.json"


def read_result(member: Member) -> dict[str, Any] | None:
    """The result of a model that is done; None while it is not, or where it was damaged."""
    if not member.best.is_dir():
        return None
    try:
        return written.read(member.result, {"seed": int, **MEASURED})
    except UserError:
        return None


def metric_values(score: Mapping[str, Any]) -> dict[str, float]:
    """The metrics in what a task's `score` returns, without its tables and flags."""
    return {
        name: float(value)
        for name, value in score.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def first_best(values: Sequence[float | None]) -> int | None:
    """Where the highest value is, the first of equals; NaN and None, its form on disk, never are.

    None if there is no other.
    """
    numbers = {i: value for i, value in enumerate(values) if value is not None and value == value}
    return max(numbers, key=numbers.__getitem__) if numbers else None


class Interrupted(Exception):
    """Somebody asked for an end, for the reason that is the text; all up to here is saved."""


class Training:
    """The state of one member's training, and the few moves it makes."""

    def __init__(
        self,
        cfg: FinetuneConfig,
        task: Task,
        member: Member,
        train: Encoded,
        dev: Encoded,
        predictor: Predictor,
        forms: Sequence[Form],
        steps: Steps,
        progress: Progress,
        pieces: np.ndarray,
        beside: Beside | None = None,
    ):
        self.cfg, self.task, self.member = cfg, task, member
        self.train, self.dev = train, dev
        self.predictor, self.forms, self.steps = predictor, forms, steps
        self.progress, self.pieces, self.beside = progress, pieces, beside
        member.directory.mkdir(exist_ok=True, parents=True)
        self.newest = CheckpointStore(member.newest, keep=1)
        self.best = CheckpointStore(member.best, keep=1)
        self.per_epoch = len(self._plan(0))
        self.held_out = "dev" if member.fold is None else "the held-out fold"
        self.metric = cfg.task.metric or task.metrics[0]
        self.history: list[dict[str, Any]] = []  # one entry an epoch that was evaluated
        self.seconds = 0.0  # of training steps in the epoch so far
        self.loss, self.losses = 0.0, 0  # their sum and number, in the epoch so far
        # Of dev, by the best epoch; None if that was before the run was resumed.
        self.best_scores: list[Scores] | None = None
        total = max(1, self.per_epoch * cfg.tune.epochs)
        self.turns = Turns(*map(np.float32, turns(cfg.optim, total)))

    def run(self, trained: Any, kept: Any, stop: Stop) -> dict[str, Any]:
        """Train to the end and return the content of result.json.

        `trained` are the parameters that move, `kept` those that stay.

        Raises:
            Interrupted: `stop` said so; the same command goes on from there, bit for bit.
            UserError: the loss or gradient was not finite too often, or the metric never.
        """
        self.kept = kept
        self.small = small_table(self.cfg, trained, self.pieces)
        state, step = self._restore(trained if self.small is None else self.small.cut(trained))
        key = jax.random.key(self.member.seed)
        log = MetricsFile(self.member.directory / "metrics.jsonl", step)
        try:
            while not self._is_over(step):
                state, step = self._epoch(state, step, key, log, stop)
        finally:
            log.close()
        self.newest.wait()
        self.best.wait()
        return self._result()

    def _plan(self, epoch: int) -> list[Plan]:
        return training_plan(
            self.train.rows,
            self.forms,
            self.cfg.tune.batch_size,
            self.member.seed,
            epoch,
        )

    def _restore(self, trained: Any) -> tuple[TuneState, int]:
        place = sharding.replicated(self.predictor.mesh)
        shapes = jax.eval_shape(self.steps.init, trained)
        wanted = jax.tree.map(
            lambda s: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=place), shapes
        )
        found = self.newest.restore({"state": wanted._asdict()})
        if found is None:
            return self.steps.init(trained), 0
        for reason in found.rejected:
            self.progress.terminal.say(f"passed over checkpoint {reason}")
        self.history, self.seconds = found.meta["history"], found.meta["seconds"]
        self.loss, self.losses = found.meta.get("loss", (0.0, 0))  # older ones have none
        return TuneState(**found.items["state"]), found.step

    def _is_over(self, step: int) -> bool:
        epochs, patience = len(self.history), self.cfg.tune.patience
        if epochs >= self.cfg.tune.epochs:
            return True
        return 0 < patience <= epochs - self._best_epoch()

    def _best_epoch(self) -> int:
        """The first epoch with the best metric, from 1; 0 before any whose metric is a number."""
        best = first_best([entry["dev"][self.metric] for entry in self.history])
        return 0 if best is None else best + 1

    def _epoch(
        self,
        state: TuneState,
        step: int,
        key: jax.Array,
        log: MetricsFile,
        stop: Stop,
    ) -> tuple[TuneState, int]:
        """Train from `step` to the end of its epoch, evaluate and save."""
        cfg, epoch = self.cfg, step // self.per_epoch
        plans = self._plan(epoch)
        pace = Pace(self.turns, np.int32(lowest_depth(cfg, epoch)))
        began, pending = time.monotonic(), None
        total = self.per_epoch * cfg.tune.epochs
        self.progress.begin(self.member.name, step, total, cfg.tune.batch_size)
        for plan in plans[step % self.per_epoch :]:
            batch = self._batch(self.train.rows, plan)
            if self.beside is not None:
                batch = batch | {"unlabelled": self._batch(*self.beside.rows_and_plan(step))}
            what = f"the first step of {plan.form.lines}×{plan.form.width} tokens"
            with self.progress.first_of(plan.form, what):
                state, metrics = self.steps.train(state, self.kept, key, batch, pace)
            if pending is not None:
                self._read(pending, step, log)
            pending, step = metrics, step + 1
            reason = stop()
            if reason is not None and step % self.per_epoch:
                self._read(pending, step, log)
                self.seconds += time.monotonic() - began
                self._save(state, step)
                self.newest.wait()
                raise Interrupted(reason)
        if pending is not None:
            self._read(pending, step, log)
        self.seconds += time.monotonic() - began
        self._evaluate(state, step, log)
        reason = stop()
        if reason is None and self._is_over(step) and self._best_epoch():
            return state, step  # its result is written next, and needs no state
        self._save(state, step)
        if reason is not None:
            self.newest.wait()
            self.best.wait()
            raise Interrupted(reason)
        return state, step

    def _batch(self, rows: Rows, plan: Plan) -> Batch:
        at, numbers = self.predictor, self.small.numbers if self.small else None
        return to_devices(at.mesh, rows, plan, self.cfg.tune.batch_size, at.pad, numbers)

    def _read(self, metrics: dict[str, Any], step: int, log: MetricsFile) -> None:
        """Take in the metrics of the step that ended at `step`; log when due; stop if lost."""
        if int(metrics["bad_steps"]) >= MAX_BAD_STEPS:
            raise UserError(
                f"{self.member.name}: loss or gradient was not finite for {MAX_BAD_STEPS} steps in "
                f"a row, last in step {step}: lower optim.learning_rate",
                EXIT_NON_FINITE,
            )
        values = {name: float(metrics[name]) for name in ("loss", "gradient_norm")}
        if math.isfinite(values["loss"]):  # else the step changed nothing
            self.loss, self.losses = self.loss + values["loss"], self.losses + 1
        if step % self.cfg.tune.log_every and step % self.per_epoch:
            return
        log.write("train", step, values)
        self.progress.step(step, values["loss"])

    def _evaluate(self, state: TuneState, step: int, log: MetricsFile) -> None:
        trained, name = parameters.without_discriminator(state.params), self.member.name
        if self.small is not None:
            trained = self.small.whole(trained)
        place = sharding.replicated(self.predictor.mesh)
        params = jax.device_put(parameters.join(trained, self.kept), place)
        what = f"the prediction of {len(self.dev.examples):,} examples of {self.held_out}"
        self.progress.waiting(name, what)
        with self.progress.first_of("prediction", what):
            scores, dev_loss = self.predictor.scores_and_loss(params, self.task, self.dev.rows)
        numbers = metric_values(self.task.score(self.dev.examples, scores))
        losses = {"train_loss": self.loss / self.losses if self.losses else None}
        losses["dev_loss"] = dev_loss
        epoch = step // self.per_epoch
        entry = {"epoch": epoch, **finite(losses), "dev": finite(numbers), "seconds": self.seconds}
        self.history.append(entry)
        self.seconds, self.loss, self.losses = 0.0, 0.0, 0
        log.write("evaluation", step, {"epoch": epoch, **losses, **numbers})
        names = dict.fromkeys((self.metric, *self.task.metrics[:3]))
        shown = [f"{name} {numbers[name]:.4f}" for name in names]
        shown += [f"{n.replace('_', ' ')} {x:.4f}" for n, x in losses.items() if x is not None]
        self.progress.terminal.say(f"{name} · epoch {epoch} · {' · '.join(shown)}")
        if self._best_epoch() == len(self.history):
            self.best_scores = scores
            meta = {"epoch": epoch, "dev": entry["dev"]}
            whole = method_of(self.cfg) is None
            self.best.save(step, {"params": params if whole else trained}, meta)

    def _save(self, state: TuneState, step: int) -> None:
        loss = (self.loss, self.losses)
        meta = {"history": self.history, "seconds": self.seconds, "loss": loss}
        self.newest.save(step, {"state": state._asdict()}, meta)

    def _result(self) -> dict[str, Any]:
        best = self._best_epoch()
        if not best:
            raise UserError(
                f"{self.member.name}: {self.metric} on dev is not a number after any of the "
                f"{len(self.history)} epochs, so none is the best: lower optim.learning_rate, or "
                "choose another task.metric",
                EXIT_NON_FINITE,
            )
        result = {
            "seed": self.member.seed,
            "fold": self.member.fold,
            "best_epoch": best,
            "steps": best * self.per_epoch,
            "tokens": best * sum(map(len, self.train.rows.tokens)),
            "epochs": len(self.history),
            "dev": self.history[best - 1]["dev"],
            "history": [
                {name: e.get(name) for name in ("epoch", "train_loss", "dev_loss")} | e["dev"]
                for e in self.history
            ],
            "seconds_per_epoch": float(np.median([e["seconds"] for e in self.history])),
        }
        write_json(self.member.result, result)
        if self.newest.directory.exists():
            shutil.rmtree(self.newest.directory)  # only a model in training needs its moments
        return result
