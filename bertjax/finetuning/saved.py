"""Fine-tuned runs on new examples, and what a run may start from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import jax

from bertjax import model, sharding, written
from bertjax.config import FinetuneConfig, MeshConfig, ModelConfig
from bertjax.errors import UserError, nearest
from bertjax.finetuning import results
from bertjax.finetuning.inference import Predictor
from bertjax.finetuning.layout import Form, evaluation_forms, form_of_one_batch
from bertjax.finetuning.material import Start
from bertjax.finetuning.member import Member, first_best
from bertjax.finetuning.settle import method_of, task_shape
from bertjax.finetuning.step import make_predict
from bertjax.finetuning.stored import best_parameters, best_weights, check_base, noted_places
from bertjax.model.task import WEIGHTED_FAMILIES
from bertjax.overrides import read_config
from bertjax.pretrained import open_pretrained, tokenizer_of
from bertjax.runs.directory import RunDirectory
from bertjax.runs.kinds import Kind, describe, kind_of, require_kind
from bertjax.tasks.families import task_of
from bertjax.tasks.task import Example, Scores, Task
from bertjax.text.tokenizer import Tokenizer, load_tokenizer


@dataclass(frozen=True)
class SavedRun:
    """A run of `bertjax finetune` whose models are all trained."""

    path: Path
    cfg: FinetuneConfig
    tokenizer: Tokenizer
    results: dict[str, Any]  # the content of its results.json
    base: Start | None = None  # of few weights: the encoder they belong to; None: where it lay

    @cached_property
    def task(self) -> Task:
        """The task, with the labels of the run."""
        return self.judge(self.members)

    def judge(self, members: Sequence[Member]) -> Task:
        """The task as it judges what `members` say together."""
        return task_of(self.cfg, self.cfg.task.labels, self.null_threshold(members))

    def judged_by(self, positive: str) -> SavedRun:
        """The same, with the F1 of the class `positive` (`task.positive`)."""
        return replace(self, cfg=replace(self.cfg, task=replace(self.cfg.task, positive=positive)))

    def null_threshold(self, members: Sequence[Member]) -> float:
        """By how much "no answer" has to lead: tuned for a model alone, or for all of the run."""
        entries = self.results["models"]
        alone = entries[self.members.index(members[0])] if len(members) == 1 else self.results
        return alone.get("null_threshold", 0.0)

    @property
    def members(self) -> list[Member]:
        """Its models, in order."""
        return [Member(entry["seed"], entry["fold"], self.path) for entry in self.results["models"]]

    @property
    def best(self) -> Member:
        """The model with the best metric on dev.

        Raises:
            UserError: its models were scored on different folds, so that none is the best.
        """
        if self.cfg.tune.folds:
            raise UserError(
                f"{self.path} has models of {self.cfg.tune.folds} folds, each scored on other "
                f"examples, so that none is the best: name one, as in `bertjax export {self.path} "
                f"--model {self.members[0].name}`"
            )
        best = first_best([e["dev"][self.results["metric"]] for e in self.results["models"]])
        return self.members[best or 0]  # every model was chosen by a metric that is a number

    def member(self, name: str) -> Member:
        """The model of that name, such as `seed-1`; UserError if there is none."""
        names = [member.name for member in self.members]
        if name not in names:
            raise UserError(f"{self.path} has no model {name!r}: {nearest(name, names)}")
        return self.members[names.index(name)]

    @cached_property
    def parameters(self) -> Callable[[Member], model.Params]:
        """Parameters of a model's best epoch; those of the last model are kept."""
        return lru_cache(1)(lambda member: best_parameters(self.cfg, member, self.encoder.params))

    def weights(self, member: Member) -> model.Params:
        """The same without the encoder that few weights share."""
        return best_weights(self.cfg, member, self.encoder.params)

    def plain(self, member: Member) -> model.Params:
        """`parameters` as a plain encoder has them; UserError if none computes the same."""
        method, params = method_of(self.cfg), self.parameters(member)
        return params if method is None else method.merged(params)

    @cached_property
    def encoder(self) -> Start:
        """What few weights were trained on; empty where the run holds all of its model.

        Raises:
            UserError: it is not where it lay, or another one is there.
        """
        if method_of(self.cfg) is None:
            return Start("this run", {}, self.tokenizer)
        places = list(noted_places(self.path))
        there = [place for place in places if kind_of(place) is not None]
        if self.base is None and not there:
            lay = f"{places[0]} is {describe(places[0])}" if places else "where it lay is not noted"
            raise UserError(
                f"{self.path} holds few weights and not their encoder, and {lay}: name the "
                "encoder's directory with --base"
            )
        found = self.base or open_start(there[0], f"the encoder of {self.path},")[1]
        check_base(self.path, self.cfg, found.params, found.source)
        return found

    def scores(self, members: Sequence[Member], examples: Sequence[Example]) -> list[list[Scores]]:
        """What each of `members` says of the examples."""
        return self.scores_of(map(self.parameters, members), len(members), examples)

    def scores_of(
        self, many: Iterable[model.Params], count: int, examples: Sequence[Example]
    ) -> list[list[Scores]]:
        """What models of this run's shape say of the examples; `many` holds `count` of them."""
        rows = self.task.encode(examples, self.tokenizer)
        mesh = sharding.make_mesh(MeshConfig())
        forms: tuple[Form, ...] = (form_of_one_batch(rows, mesh.size),)
        if len(rows.tokens) > self.cfg.tune.evaluation_batch_size * rows.group:
            forms = evaluation_forms(self.cfg, [rows], mesh.size, passes=count)
        with jax.set_mesh(mesh):
            predict = make_predict(self.cfg, task_shape(self.cfg), mesh)
            predictor = Predictor(self.cfg, predict, mesh, self.tokenizer, forms)
            return [predictor.scores(params, self.task, rows) for params in many]


def open_start(path: Path, name: str = "--init") -> tuple[ModelConfig, Start]:
    """The architecture and the weights of what a run may start from: any run, or Hugging Face's.

    `name` is what the user gave the path as, for messages.

    Raises:
        UserError: it is none of them, is damaged, or has no tokenizer or no plain encoder.
    """
    if kind_of(path) is Kind.FINETUNING:
        return encoder_of(open_saved(path))
    found = open_pretrained(path, name)
    return found.cfg, Start(found.source, found.params, tokenizer_of(found, path), path=path)


def encoder_of(saved: SavedRun) -> tuple[ModelConfig, Start]:
    """The architecture and the encoder of a run's best model, as another run may start from.

    Raises:
        UserError: none of its models is the best, or it has no plain encoder.
    """
    params = saved.plain(saved.best)
    encoder = {part: leaf for part, leaf in params.items() if part != "head"}
    source, task = f"{saved.path} ({saved.best.name})", saved.cfg.task.name
    return saved.cfg.model, Start(source, encoder, saved.tokenizer, task, path=saved.path)


def open_saved(path: Path, base: Start | None = None) -> SavedRun:
    """Open a fine-tuning run.

    `base` is the encoder that few weights belong to, where it is no longer where it lay, or is
    shared with other runs; other runs do not look at it.

    Raises:
        UserError: it is not one, is not finished, or is damaged.
    """
    require_kind("RUN", path, Kind.FINETUNING, fix="give the --workdir of a `bertjax finetune`")
    run = RunDirectory(path.absolute())
    cfg = read_config(FinetuneConfig, run.config)
    if not (run.path / results.NAME).exists():
        raise UserError(
            f"{path} has no results.json: it is not finished; the same `bertjax finetune` goes on"
        )
    if cfg.task.family in WEIGHTED_FAMILIES and not cfg.task.labels:
        raise written.damaged(run.config, "it has no task.labels")
    found = results.read(run.path)
    return SavedRun(run.path, cfg, load_tokenizer(run.tokenizer), found, base)
