"""Pretraining, read from top to bottom in the order things happen."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from bertjax import sharding
from bertjax.checkpoint import CheckpointStore
from bertjax.checkpoint.manifest import replace_file
from bertjax.config import PretrainConfig
from bertjax.data.batches import BatchSource
from bertjax.data.loader import load_batches
from bertjax.errors import EXIT_NON_FINITE, UserError
from bertjax.overrides import to_json
from bertjax.train import setup
from bertjax.train.evaluate import evaluate, make_evaluation_step, unigram_entropy
from bertjax.train.initial import Initial
from bertjax.train.log import MetricsFile, TensorBoard, Terminal, count, duration
from bertjax.train.pace import Recorded, make_pace
from bertjax.train.profile import Profile
from bertjax.train.run_directory import RunDirectory, open_run
from bertjax.train.signals import EXIT_CODES, StopSignals
from bertjax.train.step import attention_of, compute_of, make_train_step
from bertjax.train.window import Window

MIN_HELD_OUT = 20  # documents, below which a run says that its evaluation means little


def pretrain(
    cfg: PretrainConfig,
    workdir: str | Path,
    *,
    start_from: Initial | None = None,
    command: Sequence[str] = (),
    profile: range = range(0),
) -> int:
    """Train, or go on training, the run in `workdir`; returns the process's exit code.

    Args:
        cfg: the run; `model.vocab_size` 0 takes the corpus's.
        workdir: its directory. If it holds checkpoints, the newest that verifies is resumed.
        start_from: the model whose architecture and parameters to begin with, instead of the
            config's and random ones.
        command: what was typed, for command.txt.
        profile: steps to trace into `profile/` of the directory.

    Raises:
        UserError: bad config or data, a damaged or foreign run, or too many non-finite steps.
    """
    by_steps = not (cfg.train.minutes or cfg.train.pace)
    if profile and by_steps and profile.start >= cfg.train.steps:
        raise UserError(
            f"--profile {profile.start}:{profile.stop} begins after the last step: train.steps is "
            f"{cfg.train.steps}"
        )
    with StopSignals() as stop:
        # All that can be refused without the directory is refused before it is made.
        if start_from is not None:
            architecture = setup.adopt_architecture(cfg.model, start_from.cfg)
            cfg = dataclasses.replace(cfg, model=architecture)
        cfg, data = setup.open_data(cfg)
        setup.require_same_everywhere(cfg, data, workdir)
        mesh = setup.make_mesh(cfg)
        sharding.connect(mesh)
        with open_run(workdir) as run, jax.set_mesh(mesh), setup.memory_errors(cfg):
            saved = CheckpointStore(run.checkpoints, keep=1).read_meta()
            if saved is not None:
                setup.check_same_run(run, saved, cfg, data)
            else:
                setup.check_same_start(run, cfg)
            loop = Loop(cfg, run, data, mesh, stop, Profile(profile, run.profile))
            try:
                step = loop.start(start_from)
                if jax.process_index() == 0:  # only now: a run that is refused stays as it was
                    run.describe(to_json(cfg), command)
                    setup.copy_tokenizer(cfg, run)
                return loop.run(step)
            finally:
                loop.close()


class Loop:
    """The state of a run in progress, and the few moves it makes."""

    def __init__(
        self,
        cfg: PretrainConfig,
        run: RunDirectory,
        data: setup.Data,
        mesh: Mesh,
        stop: StopSignals,
        profile: Profile,
    ):
        self.cfg = cfg
        self.run_directory = run
        self.data = data
        self.mesh = mesh
        self.stop = stop
        self.profile = profile
        self.terminal = Terminal(speaks=jax.process_index() == 0)
        self.writers: list[MetricsFile | TensorBoard] = []
        self.newest = CheckpointStore(run.checkpoints, cfg.train.keep_checkpoints)
        self.best = CheckpointStore(run.best, keep=1)
        self.best_loss = float("inf")
        self.pace = make_pace(cfg)
        self.phase_start = 0  # step
        self.compiling_since: float | None = None  # until the first step of a shape has ended
        self.tokens = 0  # real ones seen, over all starts of the run
        known = data.train.special, data.train.vocab_size
        self.train_step = make_train_step(cfg, mesh, *known)
        self.evaluation_step = make_evaluation_step(cfg, mesh, *known)

    def start(self, initial: Initial | None) -> int:
        """Restore the newest checkpoint that verifies, or begin; returns the steps behind it."""
        found = self.newest.restore(setup.abstract_items(self.cfg, self.mesh))
        if found is None:
            params = None if initial is None else initial.params
            self.state, self.saved_step = setup.fresh_state(self.cfg, self.mesh, params), 0
            if initial is not None:
                self.terminal.say(f"start  weights and architecture of {initial.source}")
            if self.run_directory.metrics.exists():
                self.terminal.say("note   the run ended before its first checkpoint")
            self.window = Window(self.cfg)
            return 0
        for reason in found.rejected:
            self.terminal.say(f"passed over checkpoint {reason}")
        best = found.meta["best_loss"]
        self.best_loss = float("inf") if best is None else best
        self.tokens = found.meta["tokens"]
        self.window = Window(self.cfg, found.meta["unreported"])
        if isinstance(self.pace, Recorded):
            self.pace.restore(found.meta["pace"])
        self.state, self.saved_step = setup.restored_state(found.items), found.step
        return found.step

    def run(self, step: int) -> int:
        """Go through the phases from `step` on; returns the exit code."""
        self._announce(step)
        if jax.process_index() == 0:
            self.writers.append(MetricsFile(self.run_directory.metrics, step))
            if self.cfg.train.tensorboard:
                self.writers.append(TensorBoard(self.run_directory.path / "tensorboard", step))
        request = None
        for phase in range(len(self.cfg.data.phases)):
            if request is None and not self.pace.is_over(phase, step):
                step, request = self._phase(phase, self.pace.start(phase, step), step)
        self.profile.end(step, self.state)
        self._save(step)
        self.newest.wait()
        self.best.wait()
        if self.profile.shortfall:
            self.terminal.say(f"note   {self.profile.shortfall}")
        if request is None:
            for clause in self.pace.left_out():
                self.terminal.say(f"note   {clause}")
            self.terminal.say(f"done   step {step} · {self.run_directory.path}")
            return 0
        self.terminal.say(f"{request.name}: saved step {step}; the same command resumes")
        return EXIT_CODES[request]

    def close(self) -> None:
        """Close the logs."""
        for writer in self.writers:
            writer.close()
        self.terminal.close()

    def _announce(self, step: int) -> None:
        cfg = self.cfg
        parameters = sum(x.size for x in jax.tree.leaves(self.state.params))
        shape = " × ".join(f"{n} {a}" for a, n in self.mesh.shape.items() if n > 1) or "1 device"
        phases = ", then ".join(f"{p.batch_size}×{p.seq_len}" for p in cfg.data.phases)
        compute = compute_of(cfg, self.mesh)
        attention = (attention_of(cfg, compute, phase) for phase in cfg.data.phases)
        backends = "; ".join(dict.fromkeys(f"{name} ({why})" for name, why in attention))
        length = f"{cfg.train.steps} steps"
        if cfg.train.minutes:
            length = f"{cfg.train.minutes:g} minutes"
        elif cfg.train.pace:
            length = f"at the pace of {cfg.train.pace}"
        self.terminal.say(
            f"run    {self.run_directory.path}\n"
            f"model  {count(parameters)} parameters, {cfg.model.num_layers} layers × "
            f"{cfg.model.hidden_size}, {cfg.train.compute_dtype} · {shape} "
            f"({jax.devices()[0].device_kind}) · attention: {backends}\n"
            f"data   {count(len(self.data.train.tokens))} tokens, rows {phases}, "
            f"{cfg.data.format}\n"
            f"train  {length}, {cfg.optim.optimizer} · "
            + (f"resuming after step {step}" if step else "from the start")
        )
        held_out = len(self.data.held_out.document_starts) - 1
        if held_out < MIN_HELD_OUT:
            self.terminal.say(
                f"note   {held_out} held-out documents: what is measured on them is mostly chance; "
                "prepare the text again with a larger --held-out"
            )

    def _phase(self, phase: int, steps: range, step: int) -> tuple[int, signal.Signals | None]:
        """Train from `step` to the end of the phase; returns where it stopped, and why."""
        cfg, shape = self.cfg, self.cfg.data.phases[phase]
        rows = sharding.process_rows(self.mesh, shape.batch_size, cfg.train.accumulate)
        self.phase_start = steps.start
        source = self.data.training(cfg, phase)
        held_out = self.data.evaluation(cfg, phase)
        self.window.compiling()
        self.compiling_since = time.monotonic()
        self.terminal.progress(f"compiling the step for {shape.batch_size} rows of {shape.seq_len}")
        stream = load_batches(
            source,
            step - steps.start,
            len(steps),
            cfg.data.workers,
            cfg.data.prefetch,
            rows,
        )
        pending: dict | None = None  # metrics of the step before, read one step late
        with stream:
            for batch in stream:
                self.profile.before(step, self.state)
                with jax.profiler.StepTraceAnnotation("train", step_num=step):
                    on_device = sharding.to_devices(self.mesh, batch, shape.batch_size)
                    position = self.pace.position(step)
                    self.state, metrics = self.train_step(self.state, on_device, position)
                if pending is not None:
                    self._read(pending, step, source)
                pending, step = metrics, step + 1
                self.window.add_batch(batch["segments"])
                over = self.pace.is_over(phase, step)
                ended = over and self.pace.has_ended(step)
                due = self._due(step)
                request = self.stop.agreed() if self._may_ask(step) else None
                if due or request is not None or over:
                    self._read(pending, step, source, final=ended)
                    pending = None
                    if "evaluation" in due or ended:
                        self._evaluate(held_out, step)
                    if "checkpoint" in due:
                        self._save(step)
                    self.window.pause()
                if request is not None or over:
                    return step, request
        raise AssertionError("a phase has batches for all of its steps")

    def _due(self, step: int) -> set[str]:
        train = self.cfg.train
        every = {"checkpoint": train.checkpoint_every, "evaluation": train.eval_every}
        due = {name for name, n in every.items() if step % n == 0}
        return due | {"checkpoint"} if self.pace.save_due(step) else due

    def _may_ask(self, step: int) -> bool:
        """Asking is free in one process and a collective in many."""
        return jax.process_count() == 1 or step % self.cfg.train.log_every == 0

    def _read(self, metrics: dict, step: int, source: BatchSource, final: bool = False) -> None:
        """Take in the metrics of the step that ended at `step`; log when due; stop if lost."""
        values = {k: float(v) for k, v in jax.device_get(metrics).items()}
        self.window.add_metrics(values)
        self.tokens += int(values["tokens"])
        if values["bad_steps"]:
            self.terminal.say(f"step {step}: loss or gradient not finite; update skipped")
        if values["bad_steps"] >= self.cfg.train.max_bad_steps:
            self._give_up(step, int(values["bad_steps"]), source)
        if step % self.cfg.train.log_every == 0 or final:
            report = self.window.report(self.pace.steps_left(step))
            self._write("train", step, report)
            self.terminal.progress(f"{self.pace.describe(step)} · {self.window.line(report)}")
            self.newest.check()
            self.best.check()
        else:
            self._tick(step, values)
        self.compiling_since = None

    def _tick(self, step: int, values: dict[str, float]) -> None:
        """Show that there is life between reports: the first step, then once a second."""
        line = f"{self.pace.describe(step)} · loss {values['masked_lm_loss']:.4f}"
        if self.compiling_since is not None:
            took = duration(time.monotonic() - self.compiling_since)
            self.terminal.progress(f"{line} · the first step took {took}, compiling it included")
        else:
            self.terminal.pass_by(line)

    def _give_up(self, step: int, bad: int, source: BatchSource) -> None:
        ids = source.batch(step - 1 - self.phase_start)["example_ids"].tolist()
        path = self.run_directory.path / "bad_batch.json"
        if jax.process_index() == 0:
            text = json.dumps({"step": step, "epoch_and_row": ids}) + "\n"
            with contextlib.suppress(OSError):  # what follows matters more
                path.write_text(text, encoding="utf-8")
        self.newest.wait()
        self.best.wait()
        raise UserError(
            f"loss or gradient was not finite for {bad} steps in a row (train.max_bad_steps), "
            f"last in the batch of step {step}, whose rows are listed in {path}: lower "
            "optim.learning_rate or look at those rows; earlier checkpoints are intact",
            EXIT_NON_FINITE,
        )

    def _evaluate(self, held_out: BatchSource, step: int) -> None:
        results = evaluate(
            self.evaluation_step, self.state.params, held_out, self.mesh, self.cfg.train.eval_rows
        )
        results["unigram_entropy"] = unigram_entropy(self.data.held_out)
        self._write("evaluation", step, results)
        pairs = ""
        if "next_sentence_loss" in results:
            pairs = f" · {self.cfg.data.pairs} acc {results['next_sentence_accuracy']:.3f}"
        self.terminal.say(
            f"eval   step {step} · held-out loss {results['masked_lm_loss']:.4f} "
            f"(unigram entropy {results['unigram_entropy']:.4f}) · "
            f"acc {results['masked_lm_accuracy']:.4f}{pairs}"
        )
        if results["masked_lm_loss"] < self.best_loss:
            self.best_loss = results["masked_lm_loss"]
            meta = self._meta() | {"evaluation": results}
            self.best.save(step, {"params": self.state.params}, meta)

    def _meta(self) -> dict[str, Any]:
        best = self.best_loss if np.isfinite(self.best_loss) else None
        return {
            "config": dataclasses.asdict(self.cfg),
            "tokens": self.tokens,
            "tokenizer": self.data.train.fingerprint,
            "corpus": self.data.train.identity,
            "language": self.data.language,
            "best_loss": best,
            "pace": self.pace.meta(),
            "unreported": self.window.metrics,  # so that the next report is the unbroken run's
        }

    def _save(self, step: int) -> None:
        if step != self.saved_step:
            self.newest.save(step, setup.checkpoint_items(self.state), self._meta())
            if isinstance(self.pace, Recorded) and jax.process_index() == 0:
                replace_file(self.run_directory.pace, json.dumps(self.pace.meta()).encode())
            self.saved_step = step

    def _write(self, kind: str, step: int, values: dict[str, Any]) -> None:
        for writer in self.writers:
            writer.write(kind, step, values)
