"""Scores of examples as rows of class probabilities, which every way to fuse reads alike.

Axis letters: M models, R rows, C classes. A row is an example; of tags a word; of several labels an
example with one of the labels, whose classes are yes and no.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bertjax.tasks.multi_label import MultiLabel
from bertjax.tasks.multiple_choice import MultipleChoice
from bertjax.tasks.tagging import Tagging
from bertjax.tasks.task import Example, Scores, Task


@dataclass(frozen=True)
class Cells:
    """What M models say of the rows of the same examples."""

    values: np.ndarray  # float64 [M, R, C]; zeros where a model says nothing of a word
    chosen: np.ndarray  # int64 [M, R], the class that each model predicts; -1: none


def cells(task: Task, many: Sequence[Sequence[Scores]]) -> Cells:
    """The rows of each model's scores."""
    if isinstance(task, Tagging):
        return _of_words(many)
    values = np.array(many, np.float64)
    if isinstance(task, MultiLabel):  # yes first: of two equal classes the first one is predicted
        values = np.stack([values, 1 - values], axis=-1).reshape(len(many), -1, 2)
    return Cells(values, values.argmax(-1))


def _of_words(many: Sequence[Sequence[Scores]]) -> Cells:
    values = np.array([np.concatenate([s.probabilities for s in scores]) for scores in many])
    paths = [
        np.concatenate([s.probabilities.argmax(1) if s.path is None else s.path for s in scores])
        for scores in many
    ]
    return Cells(values, np.where(values.any(-1), np.array(paths), -1))


def true_classes(task: Task, examples: Sequence[Example]) -> np.ndarray:
    """The class of each row by the examples' labels, int64 [R]."""
    if isinstance(task, MultipleChoice):
        return np.array([example.label for example in examples], np.int64)
    if isinstance(task, MultiLabel):
        held = [[label not in example.label for label in task.labels] for example in examples]
        return np.array(held, np.int64).reshape(-1)
    ids = {label: i for i, label in enumerate(task.labels)}
    if isinstance(task, Tagging):
        return np.array([ids[tag] for example in examples for tag in example.label], np.int64)
    return np.array([ids[example.label] for example in examples], np.int64)


def scores_of(task: Task, many: Sequence[Sequence[Scores]], values_RC: np.ndarray) -> list[Scores]:
    """Scores of the examples from probabilities of their rows.

    `many` is what the probabilities were made from. Of CRFs each path is the best one that the
    scheme allows (`Tagging.joined`).
    """
    if isinstance(task, Tagging):
        ends = np.cumsum([len(score.probabilities) for score in many[0]])[:-1]
        parts = np.split(values_RC, ends)
        return [
            task.joined(versions, part)
            for versions, part in zip(zip(*many, strict=True), parts, strict=True)
        ]
    if isinstance(task, MultiLabel):
        return list(values_RC[:, 0].reshape(len(many[0]), -1))
    return list(values_RC)
