"""The ways in which the scores of several models become one model's, and how each is fitted.

A way is data: what was learned, from which `combine` makes the scores, and which JSON holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from bertjax.errors import UserError
from bertjax.fuse.cells import cells, scores_of, true_classes
from bertjax.fuse.stack import apply_stack, fit_stack
from bertjax.fuse.votes import elect_spans, majority
from bertjax.fuse.weights import fit_to_classes, fit_to_numbers
from bertjax.linear import Linear
from bertjax.metrics.entities import Span
from bertjax.tasks.regression import Regression
from bertjax.tasks.span_qa import SpanQA
from bertjax.tasks.tag_schemes import OUTSIDE, all_tags, spans, split, tags_of
from bertjax.tasks.tagging import Tagging, WordScores
from bertjax.tasks.task import Example, Scores, Task

LEARNED = ("weighted", "stack")  # of scores; a soup is learned too, of weights
OF_SCORES = ("average", "vote", *LEARNED)


class Way(Protocol):
    """How the scores of several models are made those of one."""

    def combine(self, task: Task, many: Sequence[Sequence[Scores]]) -> list[Scores]:
        """The scores of examples from those of each model."""

    def content(self) -> dict[str, Any]:
        """JSON that `way_from` reads."""


@dataclass(frozen=True)
class Mean:
    """The weighted mean of scores; of answers to questions a vote by weight."""

    weights: tuple[float, ...]

    def combine(self, task: Task, many: Sequence[Sequence[Scores]]) -> list[Scores]:
        """See `Task.combine`."""
        return task.combine(many, self.weights)

    def content(self) -> dict[str, Any]:
        """The weights."""
        return {"weights": list(self.weights)}


@dataclass(frozen=True)
class Vote:
    """The share of models for each class; of entities those that `votes` models or more found."""

    votes: int  # 1 to the number of models; of classes and plain tags the most votes win

    def combine(self, task: Task, many: Sequence[Sequence[Scores]]) -> list[Scores]:
        """The shares; of entities the mean probabilities with the elected tags as their path."""
        if counts_spans(task):
            assert isinstance(task, Tagging)
            tagged = zip(*map(task.tags, many), strict=True)
            sentences = zip(tagged, zip(*many, strict=True), strict=True)
            return [_elected(task, tags, versions, self.votes) for tags, versions in sentences]
        said = cells(task, many)
        return scores_of(task, many, majority(said.chosen, said.values))

    def content(self) -> dict[str, Any]:
        """The least number of votes."""
        return {"votes": self.votes}


@dataclass(frozen=True)
class Stack:
    """What a softmax regression makes of the probabilities of all models."""

    fitted: Linear

    def combine(self, task: Task, many: Sequence[Sequence[Scores]]) -> list[Scores]:
        """See `apply_stack`."""
        return scores_of(task, many, apply_stack(self.fitted, cells(task, many).values))

    def content(self) -> dict[str, Any]:
        """The regression; null for the bias of a class that it never saw."""
        bias = [float(b) if np.isfinite(b) else None for b in self.fitted.bias]
        return {name: x.tolist() for name, x in self.fitted._asdict().items()} | {"bias": bias}


def way_from(method: str, content: Mapping[str, Any]) -> Way:
    """The way that `content` came from."""
    if method in ("average", "weighted"):
        return Mean(tuple(content["weights"]))
    if method == "vote":
        return Vote(content["votes"])
    bias = [-np.inf if b is None else b for b in content["bias"]]
    arrays = [np.array(x) for x in (*(content[n] for n in Linear._fields[:-1]), bias)]
    return Stack(Linear(*arrays))


def learn(
    method: str, task: Task, examples: Sequence[Example], many: Sequence[Sequence[Scores]]
) -> Way:
    """Fit one of LEARNED to labelled examples that no model was trained on."""
    if isinstance(task, Regression):
        truth = np.array([example.label for example in examples], np.float64)
        return Mean(tuple(fit_to_numbers(np.array(many, np.float64)[:, :, 0], truth).tolist()))
    values, truth = cells(task, many).values, true_classes(task, examples)
    if method == "stack":
        return Stack(fit_stack(values, truth))
    right = values[:, np.arange(len(truth)), truth]
    return Mean(tuple(fit_to_classes(right).tolist()))


def why_not(method: str, task: Task) -> str:
    """Why a method of OF_SCORES is none for a task; empty if it is one."""
    if method != "average" and isinstance(task, SpanQA):
        return "answers are spans of each model's own: only average combines them"
    if method in ("vote", "stack") and isinstance(task, Regression):
        return "numbers have no classes: use average or weighted"
    if method == "vote" and isinstance(task, Tagging) and counts_spans(task):
        kinds = {split(label)[1] for label in task.labels} - {""}
        missing = set(all_tags(sorted(kinds), task.scheme)) - set(task.labels)
        if missing:
            return f"task.labels has no {sorted(missing)[0]}, which an elected entity may need"
    return ""


def counts_spans(task: Task) -> bool:
    """Whether votes are of entities."""
    return isinstance(task, Tagging) and task.scheme != "none"


def check_votes(votes: int | None, task: Task, models: int) -> int:
    """How many votes an entity needs: by default more than half.

    Raises:
        UserError: the number is out of range, or nothing here is elected by a number.
    """
    if votes is None:
        return models // 2 + 1
    if not counts_spans(task):
        raise UserError(
            f"--votes {votes}: a threshold is for entities, and here each class with the most "
            "votes wins: leave --votes out"
        )
    if not 1 <= votes <= models:
        raise UserError(f"--votes {votes} of {models} models: give 1 (any) to {models} (all)")
    return votes


def _elected(
    task: Tagging, tags: Sequence[Sequence[str | None]], versions: Sequence[WordScores], least: int
) -> WordScores:
    mean = np.mean([version.probabilities for version in versions], axis=0)
    kinds = [split(label)[1] for label in task.labels]

    def probability(span: Span) -> float:
        start, end, kind = span
        return float(mean[start:end, [k == kind for k in kinds]].sum(axis=1).mean())

    found = [spans([tag or OUTSIDE for tag in version]) for version in tags]
    kept = elect_spans(found, least, probability, apart=task.scheme == "IO")
    ids = {label: i for i, label in enumerate(task.labels)}
    path = [ids[tag] for tag in tags_of(kept, len(mean), task.scheme)]
    return WordScores(mean, np.array(path, np.int64))
