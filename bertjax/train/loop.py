"""Pretraining, read from top to bottom in the order in which things happen."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
from jax.sharding import Mesh

from bertjax import cluster, sharding
from bertjax.config import PretrainConfig
from bertjax.data.batches import Batches
from bertjax.errors import EXIT_NON_FINITE, UserError
from bertjax.objectives.choice import objective_of
from bertjax.overrides import to_json
from bertjax.pretrained import Pretrained, open_pretrained
from bertjax.review.review import review, save_review
from bertjax.runs.directory import RunDirectory, open_run
from bertjax.runs.kinds import Kind
from bertjax.runs.outcome import Run, Stop, logged, never
from bertjax.terminal import SILENT, Terminal
from bertjax.train.announce import announce
from bertjax.train.checkpoints import Checkpoints
from bertjax.train.data import Data, open_data
from bertjax.train.devices import check_kernels, make_mesh, memory_errors, what_computes
from bertjax.train.pace import make_pace
from bertjax.train.phase import PhaseWork, make_phases
from bertjax.train.profile import Profile
from bertjax.train.report import Diverged, Report
from bertjax.train.same_run import check_same_run, require_same_everywhere
from bertjax.train.state import abstract_state, fresh_state, restored_state
from bertjax.train.state_hash import begin_hash

_OF_THE_ROW = ("kind", "step", "phase")  # of an evaluation in the log, beside its results


def pretrain(
    cfg: PretrainConfig,
    workdir: str | Path,
    *,
    start_from: Pretrained | str | Path | None = None,
    command: Sequence[str] = (),
    profile: range = range(0),
    stop: Stop = never,
    terminal: Terminal = SILENT,
) -> Run:
    """Train, or go on training, the run in `workdir`.

    Args:
        cfg: the run; `model.vocab_size` 0 takes the corpus's.
        workdir: its directory. If it holds checkpoints, the newest that verifies is resumed.
        start_from: the model whose architecture and parameters to begin with, instead of the
            config's and random ones; or the path of a run or a Hugging Face directory.
        command: what was typed, for command.txt.
        profile: steps to trace into `profile/` of the directory.
        stop: asked after each step whether to save and end.
        terminal: where progress is shown.

    Raises:
        UserError: bad config or data, a damaged or foreign run, or too many non-finite steps.
    """
    if not isinstance(cfg, PretrainConfig):
        raise UserError(f"pretrain: a {type(cfg).__name__} is no PretrainConfig: use finetune")
    if profile and not (cfg.train.minutes or cfg.train.pace) and profile.start >= cfg.train.steps:
        raise UserError(
            f"--profile {profile.start}:{profile.stop} begins after the last step: train.steps is "
            f"{cfg.train.steps}"
        )
    # All that can be refused without the directory is refused before the directory is made.
    if isinstance(start_from, str | Path):
        train = dataclasses.replace(cfg.train, init=str(start_from))
        cfg = dataclasses.replace(cfg, train=train)
        start_from = open_pretrained(Path(start_from).expanduser(), "start_from")
    if start_from is not None:
        for path in cfg.data.paths:
            start_from.check_corpus(Path(path))
        cfg = dataclasses.replace(cfg, model=cfg.model_on(start_from.cfg))
    elif not cfg.train.init:  # else the run has it from the model it was started from
        cfg = cfg.with_trained_heads()
    cfg, data = open_data(cfg)
    require_same_everywhere(cfg, data, Path(workdir).expanduser())
    mesh = make_mesh(cfg)
    sharding.connect(mesh)
    with (
        open_run(workdir, Kind.PRETRAINING, terminal.say) as run,
        jax.set_mesh(mesh),
        memory_errors(cfg),
    ):
        check_same_run(run, cfg, data, start_from)
        check_kernels(cfg, mesh)
        trace = Profile(profile, run.profile)
        return _train(cfg, data, mesh, run, start_from, command, trace, stop, terminal)


def _train(
    cfg: PretrainConfig,
    data: Data,
    mesh: Mesh,
    run: RunDirectory,
    start_from: Pretrained | None,
    command: Sequence[str],
    trace: Profile,
    stop: Stop,
    terminal: Terminal,
) -> Run:
    checkpoints = Checkpoints(run, cfg.train.keep_checkpoints)
    work_of = make_phases(cfg, data, mesh)

    # Where the run stands: at its newest checkpoint, or at its beginning.
    found = checkpoints.restore(abstract_state(cfg, mesh))
    step = found.step if found else 0
    pace = make_pace(cfg, before=found.meta["pace"] if found else None)
    if jax.process_index() == 0:  # only now: a run that is refused stays as it was
        run.describe(to_json(cfg), command)
        run.copy_tokenizer(Path(cfg.data.paths[0]) / "tokenizer")
    if found is None and run.metrics.exists():  # which a report makes
        terminal.say("note   the run ended before its first checkpoint")
    stopped, results = None, {}
    with Report(cfg, run, pace, terminal, step) as report:
        if found:
            state = restored_state(found.items)
            pace.restore(found.meta["pace"])
            report.restore(found.meta)
        else:
            checkpoints.newest.try_out()
            state = fresh_state(cfg, mesh, start_from.all_params if start_from else None)
        announce(cfg, data, mesh, run, terminal, found, start_from)
        report.begins(step, what_computes(cfg, mesh))

        def meta() -> dict[str, Any]:
            described = {"config": dataclasses.asdict(cfg), "phase": phase, "pace": pace.meta()}
            return described | data.meta() | report.meta()

        def save() -> None:
            checkpoints.save(step, state, meta())
            if (stretches := pace.meta()) is not None and jax.process_index() == 0:
                run.write_pace(stretches)

        for phase in range(len(cfg.data.phases)):
            if pace.is_over(phase, step):
                continue
            steps, work = pace.start(phase, step), work_of(phase)
            report.compiling(phase, work.objective)
            batches = work.load(step - steps.start, len(steps))
            with batches, _diverged(run, checkpoints, work.batches, steps):
                for batch in batches:
                    trace.before(step, state)
                    if report.hash_due(step):
                        report.hashed(step, begin_hash(state))
                    with jax.profiler.StepTraceAnnotation("train", step_num=step):
                        state, metrics = work.step(state, batch, pace.position(step))
                    step += 1
                    report.took(step, metrics, batch["segments"])

                    # Between steps: is the phase over, is anything due, does anyone want to stop?
                    over = pace.is_over(phase, step)
                    ended = over and pace.has_ended(step)
                    evaluates = ended or step % cfg.train.eval_every == 0
                    saves = pace.save_due(step) or step % cfg.train.checkpoint_every == 0
                    if step % cfg.train.log_every == 0:
                        checkpoints.check()
                    # Asking is free in one process and a meeting of all in many.
                    if jax.process_count() == 1 or step % cfg.train.log_every == 0:
                        stopped = cluster.anyone("stop", stop())
                    if not (evaluates or saves or over or stopped):
                        continue
                    report.read(final=over)  # phases that differ have no means together
                    if evaluates:
                        results = work.evaluate(state.result)
                        report.evaluated(step, phase, results)
                        loss = results[work.objective.selects]
                        measured = {k: v for k, v in results.items() if math.isfinite(v)}
                        about = meta() | {"evaluation": measured}
                        checkpoints.keep_best(step, phase, state, loss, about)
                    if saves:
                        save()
                    report.pause()
                    if over or stopped:
                        break
            if stopped:
                break

        # The end, or as far as it came.
        if pace.has_ended(step):
            stopped = None  # nothing is left to go on with
        trace.end(step, state)
        if cfg.train.hash_every and not stopped:
            report.hashed(step, begin_hash(state))
            report.read()
        save()
        checkpoints.wait()
        report.notes([trace.shortfall] if trace.shortfall else [])
        if stopped:
            terminal.say(f"{stopped}: saved step {step}; the same command resumes")
        else:
            report.notes(pace.left_out())
            phase, last = _last_evaluation(run)
            if last and jax.process_index() == 0 and (results or not run.review.exists()):
                steps = pace.start(phase, step)
                _review(cfg, data, run, work_of(phase), phase, step - steps.start, report)
            results = results or last
            report.objective = objective_of(cfg, data.first.special, data.first.vocab_size, phase)
            ended_with = (f"done   step {step}", *report.held_out_loss(results), str(run.path))
            terminal.say(" · ".join(ended_with))
    return Run(run, {"step": step, "tokens": report.tokens, "evaluation": results}, stopped)


def _last_evaluation(run: RunDirectory) -> tuple[int, dict[str, float]]:
    """The phase and the results of the last one that was logged, by this start or one before."""
    rows = (row for row in logged(run.metrics) if row["kind"] == "evaluation")
    found = [row for row in rows if row.keys() >= {"phase", "unigram_entropy"}]  # else damaged
    if not found:
        return 0, {}
    last = found[-1]
    results = {name: value for name, value in last.items() if name not in _OF_THE_ROW}
    return last["phase"], {k: math.nan if v is None else v for k, v in results.items()}


def _review(
    cfg: PretrainConfig,
    data: Data,
    run: RunDirectory,
    work: PhaseWork,
    phase: int,
    steps: int,
    report: Report,
) -> None:
    """Say whether the loss of a run that has ended is normal, and keep that."""
    log, held_out = logged(run.metrics), data.evaluation(cfg, phase)
    objective, batches = work.objective, work.batches
    found = review(cfg, objective, data.train, held_out, batches, steps, log, report.tokens)
    for line in found.lines():
        report.terminal.say(f"loss   {line}")
    try:
        save_review(run.review, found)
    except OSError as error:  # the run itself is whole
        report.notes([f"{run.review} cannot be written ({error.strerror})"])


@contextlib.contextmanager
def _diverged(
    run: RunDirectory, checkpoints: Checkpoints, source: Batches, steps: range
) -> Iterator[None]:
    """Turn too many bad steps into a UserError, with the rows of the last of them in a file."""
    try:
        yield
    except Diverged as diverged:
        ids = source.batch(diverged.step - 1 - steps.start)["example_ids"]
        path = run.path / "bad_batch.json"
        if jax.process_index() == 0:
            text = json.dumps({"step": diverged.step} | source.describe(ids)) + "\n"
            with contextlib.suppress(OSError):  # what follows matters more
                path.write_text(text, encoding="utf-8")
        checkpoints.wait()
        raise UserError(
            f"loss or gradient was not finite for {diverged.bad_steps} steps in a row "
            f"(train.max_bad_steps), last in the batch of step {diverged.step}, whose rows are "
            f"listed in {path}: lower optim.learning_rate or look at those rows; earlier "
            "checkpoints are intact",
            EXIT_NON_FINITE,
        ) from None
