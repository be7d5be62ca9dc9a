"""A fine-tuning run: one model a seed, and a fold where there are folds, then their results.

ft/sst2/
  config.json, environment.json, command.txt, lock, tokenizer/     as in a pretraining run
  origin.json           fingerprints of the weights and examples it was started with
  initial/              those weights, until all models are trained (bertjax.finetuning.same_run)
  base.json             of few weights: the encoder that they belong to (bertjax.finetuning.stored)
  seed-0/ ...           one directory a model (bertjax.finetuning.member), with one in it for each
                        round of teaching (bertjax.finetuning.lessons)
  dev.jsonl, test.jsonl predictions of the model, or of all models together
  out_of_fold.jsonl     with folds: of each training example by the model that did not see it
  results.json          every score, its mean and noise, and what was cut: the run is done
  curve.png, confusion-dev.png ...   losses and metric by epoch; what is taken for what, by split
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import jax
from jax.sharding import Mesh

from bertjax import model, sharding
from bertjax.checkpoint import CheckpointStore
from bertjax.config import FinetuneConfig, MeshConfig
from bertjax.durable import write_json
from bertjax.errors import UserError, nearest
from bertjax.finetuning import parameters, plots, results
from bertjax.finetuning.announce import describe_data, describe_model
from bertjax.finetuning.batches import Beside, training_plan
from bertjax.finetuning.features import frozen_states
from bertjax.finetuning.inference import Predictor
from bertjax.finetuning.layout import Form
from bertjax.finetuning.material import Encoded, Material, Start
from bertjax.finetuning.member import Interrupted, Member, Training, read_result
from bertjax.finetuning.progress import Progress
from bertjax.finetuning.rounds import train_by_rounds
from bertjax.finetuning.same_run import (
    check_same_run,
    drop_start,
    finished,
    keep_start,
    require_checkpoint,
)
from bertjax.finetuning.saved import open_start
from bertjax.finetuning.settle import (
    adopt_encoder,
    method_of,
    settle,
    task_shape,
    training_shape,
)
from bertjax.finetuning.splits import folds, open_splits
from bertjax.finetuning.step import make_predict, make_steps
from bertjax.finetuning.stored import best_parameters, note_base
from bertjax.model.task import abstract_task_params
from bertjax.overrides import to_json
from bertjax.runs.directory import RunDirectory, open_run
from bertjax.runs.kinds import Kind
from bertjax.runs.outcome import Run, Stop, never
from bertjax.tasks.families import task_of, tune_threshold
from bertjax.tasks.task import Example, Rows, Scores, Task
from bertjax.terminal import SILENT, Terminal


def finetune(
    cfg: FinetuneConfig,
    workdir: str | Path,
    start: Start | str | Path,
    *,
    command: Sequence[str] = (),
    stop: Stop = never,
    terminal: Terminal = SILENT,
) -> Run:
    """Train every model of the run in `workdir`, or go on.

    Models that are done are not trained again, so the same command resumes.

    Args:
        cfg: the run. Its model is that of `start`, or where that is a path is taken from there.
        workdir: its directory.
        start: what to start from, or the path of a run or a Hugging Face directory.
        command: what was typed, for command.txt.
        stop: asked after each step whether to save and end.
        terminal: where progress is shown.

    Raises:
        UserError: bad config or data, or a directory that holds another run.
    """
    if not isinstance(cfg, FinetuneConfig):
        raise UserError(f"finetune: a {type(cfg).__name__} is no FinetuneConfig: use pretrain")
    if not isinstance(start, Start):
        architecture, start = open_start(Path(start).expanduser(), "start")
        cfg = replace(cfg, **adopt_encoder(cfg, architecture))
    if cfg.task.family == "tagging":
        start = replace(start, tokenizer=start.tokenizer.for_words())
    splits = open_splits(cfg)
    cfg = settle(cfg, splits)
    mesh = sharding.make_mesh(MeshConfig())
    material = Material(cfg, splits, start.tokenizer, mesh.size)
    _check_metric(cfg, material.task)
    _check_method(cfg, start)
    with open_run(workdir, Kind.FINETUNING, terminal.say) as directory, jax.set_mesh(mesh):
        check_same_run(directory, cfg, start, splits)
        note_base(directory, cfg, start)
        directory.describe(to_json(cfg), command)
        if (done := finished(directory, start)) is not None:
            terminal.say(results.table(done))
            return Run(directory, done)
        start.tokenizer.save(directory.tokenizer, cfg.model.max_positions)
        CheckpointStore(directory.checkpoints, keep=1).try_out()
        keep_start(directory, cfg, start)
        run = FinetuneRun(cfg, directory, material, start, mesh, terminal)
        with frozen_states(cfg, material, start.params, mesh, directory.path):
            members = run.members()
            try:
                found = [run.train(member, stop) for member in members]
            except Interrupted as interrupted:
                terminal.say(f"{interrupted}: saved; the same command resumes")
                return Run(directory, {}, stopped=str(interrupted))
            finally:
                terminal.close()
            content = run.conclude(members, found)
        drop_start(directory)
    return Run(directory, content)


class FinetuneRun:
    """The models of a run, and what they come to together."""

    def __init__(
        self,
        cfg: FinetuneConfig,
        directory: RunDirectory,
        material: Material,
        start: Start,
        mesh: Mesh,
        terminal: Terminal,
    ):
        self.cfg, self.directory, self.material, self.start = cfg, directory, material, start
        self.mesh, self.terminal, self.progress = mesh, terminal, Progress(terminal)
        self.shape = task_shape(cfg)
        self.known: dict[Member, list[Scores] | None] = {}  # what the best epochs said of dev

    def members(self) -> list[Member]:
        """Every model of the run, in order."""
        ways: list[int | None] = list(range(self.cfg.tune.folds)) or [None]
        return [
            Member(seed, fold, self.directory.path) for seed in self.cfg.tune.seeds for fold in ways
        ]

    def train(self, member: Member, stop: Stop) -> dict[str, Any]:
        """Train one model, unless it is done; returns its result."""
        done = read_result(member)
        if done is not None:
            return done
        require_checkpoint(self.cfg, member, self.start)
        material = self.material
        train, _ = material.parts(member.fold)
        if not self.cfg.transfer.by_rounds:
            return self._fit(member, train, material.training_forms, None, stop)
        return train_by_rounds(
            material,
            member,
            partial(self._fit, stop=stop),
            lambda each: best_parameters(self.cfg, each, self.start.params),
            lambda params, rows: self.predictor().scores(params, material.task, rows),
            self.terminal.say,
        )

    def _fit(
        self,
        member: Member,
        train: Encoded,
        forms: Sequence[Form],
        begin: model.Params | None,
        stop: Stop,
    ) -> dict[str, Any]:
        """Train one model, or one round of it, from `begin` or from the run's start."""
        cfg, material = self.cfg, self.material
        dev, shape = material.parts(member.fold)[1], training_shape(cfg)
        initial, fresh = parameters.initial_parameters(cfg, shape, self.start.params, member.seed)
        trained, kept = parameters.separate(cfg, shape, begin or initial, fresh)
        steps = make_steps(cfg, shape, self.mesh)
        if replace(member, round=None) == self.members()[0] and not member.round:
            of_model = describe_model(cfg, shape, self.start, fresh)
            self.terminal.say(f"run    {self.directory.path}\n{of_model}")
            plan = training_plan(train.rows, forms, cfg.tune.batch_size, member.seed, 0)
            self.terminal.say(describe_data(cfg, material, train, dev, len(plan)))
        beside = None
        if cfg.transfer.aligned:
            rows, size = material.encoded["unlabelled"].rows, cfg.tune.batch_size
            beside = Beside(rows, material.beside_forms, size, member.seed)
        training = Training(
            cfg,
            material.task,
            member,
            train,
            dev,
            self.predictor(),
            forms,
            steps,
            self.progress,
            material.pieces,
            beside,
        )
        result = training.run(trained, kept, stop)
        self.known[member] = training.best_scores
        return result

    def predictor(self) -> Predictor:
        """Runs any of the models over rows."""
        material = self.material
        predict = make_predict(self.cfg, self.shape, self.mesh)
        forms = material.evaluation_forms
        return Predictor(self.cfg, predict, self.mesh, material.tokenizer, forms)

    def conclude(self, members: list[Member], found: list[dict[str, Any]]) -> dict[str, Any]:
        """Score the best epoch of every model, and all together; returns results.json's content."""
        scores = self._scores(members)
        content = results.summarise(self.cfg, self.start, self.material, members, found)
        task = self.material.task
        single, joint = [task] * len(members), task
        if self.cfg.task.no_answer:
            single, joint = self._tune_thresholds(members, scores, content)
        for name, by_model in scores.items():
            examples = self._examples(name)
            together = task.combine(by_model, [1.0] * len(by_model))
            judged = list(zip(single, by_model, strict=False))  # out_of_fold: one list a seed
            content["splits"][name] = results.scored(
                self.cfg.task, examples, judged, (joint, together)
            )
            predictions = joint.predict(examples, together)
            by = self._predictors(name, members, len(examples))
            results.write_predictions(self.directory.path / f"{name}.jsonl", predictions, by)
        write_json(self.directory.path / results.NAME, content)
        self.terminal.say(results.table(content))
        if said := plots.draw(self.directory.path, content):
            self.terminal.say(f"plots  {said}")
        return content

    def _tune_thresholds(
        self, members: list[Member], scores: dict[str, list[list[Scores]]], content: dict[str, Any]
    ) -> tuple[list[Task], Task]:
        """When to give no answer: tuned for each model, and for all together, on dev.

        Models of folds, which no other examples are left to tune on, share the threshold that is
        tuned on what is held out of them.
        """
        split = "dev" if "dev" in scores else "out_of_fold"
        examples, task = self._examples(split), self.material.task
        together = task.combine(scores[split], [1.0] * len(scores[split]))
        joint = content["null_threshold"] = tune_threshold(task, examples, together)
        single = [joint] * len(members)
        if split == "dev":
            single = [tune_threshold(task, examples, model) for model in scores[split]]
        for entry, threshold in zip(content["models"], single, strict=True):
            entry["null_threshold"] = threshold
        labels = self.cfg.task.labels
        return [task_of(self.cfg, labels, t) for t in single], task_of(self.cfg, labels, joint)

    def _scores(self, members: list[Member]) -> dict[str, list[list[Scores]]]:
        """By split, what each model says of the examples; `out_of_fold` has one list a seed."""
        material, task = self.material, self.material.task
        scores: dict[str, list[list[Scores]]] = {
            name: [] for name in ("dev", "test") if name in material.encoded
        }
        held_out: list[list[Scores]] = []
        predictor = self.predictor()
        for member in members:
            params = cache(partial(best_parameters, self.cfg, member, self.start.params))

            def score(rows: Rows, params: Callable[[], model.Params] = params) -> list[Scores]:
                return predictor.scores(params(), task, rows)

            own = self.known.get(member) or score(material.parts(member.fold)[1].rows)
            for name, made in scores.items():
                is_own = name == "dev" and member.fold is None
                if not is_own:
                    many = len(material.encoded[name].examples)
                    self.progress.waiting(
                        member.name, f"the prediction of {many:,} examples of {name}"
                    )
                made.append(own if is_own else score(material.encoded[name].rows))
            if member.fold is not None:
                if member.fold == 0:
                    held_out.append([None] * len(material.splits.train))
                held = folds(material.splits.train, self.cfg.tune.folds)[member.fold]
                for i, said in zip(held, own, strict=True):
                    held_out[-1][i] = said
        return scores | ({"out_of_fold": held_out} if held_out else {})

    def _predictors(self, split: str, members: list[Member], count: int) -> list[list[str]]:
        """The names of the models that predict each example of a split together."""
        if split != "out_of_fold":
            return [[member.name for member in members]] * count
        by: list[list[str]] = [[] for _ in range(count)]
        ways = folds(self.material.splits.train, self.cfg.tune.folds)
        for member in members:
            assert member.fold is not None
            for i in ways[member.fold]:
                by[i].append(member.name)
        return by

    def _examples(self, split: str) -> list[Example]:
        splits = self.material.splits
        return {"dev": splits.dev, "test": splits.test, "out_of_fold": splits.train}[split]


def _check_metric(cfg: FinetuneConfig, task: Task) -> None:
    if cfg.task.metric not in ("", *task.metrics):
        raise UserError(
            f"task.metric={cfg.task.metric} is not one that {cfg.task.family} always gives: "
            f"{nearest(cfg.task.metric, task.metrics)}"
        )


def _check_method(cfg: FinetuneConfig, start: Start) -> None:
    """Refuse few weights where there is no encoder to put them into, or they do not fit it."""
    if method_of(cfg) is not None and not start.params and not start.is_gone:
        raise UserError(
            f"tune.method={cfg.tune.method} with random weights: there is no encoder to keep; "
            "start from a model, or use tune.method=full"
        )
    abstract_task_params(cfg.model, cfg.head, task_shape(cfg), method_of(cfg))
