"""What a student is taught: labelled rows, and those that its teacher labelled and is sure of.

round directory (`seed-0/round-1/`), beside what every model has
  pseudo_labels.jsonl   one taken row a line: its number and id, label, confidence, weight
  lesson.json           how many were taken of how many, by class; what a labelled row weighs

Both are written before the student's first step and read where it is resumed, so that what it
learns from does not depend on who computes the teacher again.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bertjax import written
from bertjax.config import TransferConfig
from bertjax.durable import replace_file, write_json
from bertjax.errors import UserError
from bertjax.finetuning.material import Encoded, Material
from bertjax.tasks.task import Example, Rows, Scores
from bertjax.transfer import label_shift
from bertjax.transfer.pseudo_labels import chosen, mass_ratio, row_weights

_LABELS, _ABOUT = "pseudo_labels.jsonl", "lesson.json"
_LEAST_SHARE = 1e-6  # of a class that is not there: it is a prior, by which is divided


class Said(NamedTuple):
    """What a teacher says of all words of some rows, or of the rows, end to end."""

    owners: np.ndarray  # int64 [N], the row each is of
    places: np.ndarray  # int64 [N], the word's number in it; 0 for a whole row
    classes: np.ndarray  # int64 [N]
    confidence: np.ndarray  # float64 [N]


_FORM = {  # of lesson.json
    "of": int,
    "taken": int,
    "classes": {str: {"taken": int}},
    "labelled_weight": written.NUMBER,
    "pseudo_weight": written.NUMBER,
    "mass_ratio?": written.NUMBER,
    "target_shares?": {str: written.NUMBER},
    "class_weights?": {str: written.NUMBER},
}
_LINE = {"row": int, "label": (str, [written.TEXT]), "weight": written.NUMBER}


@dataclass(frozen=True)
class Lesson:
    """Rows that a student learns from beside the labelled ones."""

    lines: list[dict[str, Any]]  # those of pseudo_labels.jsonl
    about: dict[str, Any]  # the content of lesson.json

    def teaches_as(self, other: Lesson) -> bool:
        """Whether a student learns the same from both, however sure their teachers are."""

        def taught(lesson: Lesson) -> list[Any]:
            rows = [(line["row"], line["label"], line["weight"]) for line in lesson.lines]
            return [rows, *(lesson.about.get(n) for n in ("labelled_weight", "class_weights"))]

        return taught(self) == taught(other)

    def write(self, folder: Path) -> None:
        """Both files, the rows last: where they are, the other is."""
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / _ABOUT, self.about)
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in self.lines)
        replace_file(folder / _LABELS, text.encode())

    @classmethod
    def read(cls, folder: Path, material: Material) -> Lesson | None:
        """What `write` wrote; None where there is none, or none of the run's rows and labels."""
        try:
            about = written.read(folder / _ABOUT, _FORM)
        except UserError:
            return None
        lines = written.lines(folder / _LABELS, _LINE)
        by_class = [about[name] for name in ("target_shares", "class_weights") if name in about]
        weighed = all(set(material.task.labels) <= found.keys() for found in by_class)
        whole = weighed and len(lines) == about["taken"]
        return cls(lines, about) if whole and all(_is_of(material, x) for x in lines) else None


def _is_of(material: Material, line: Mapping[str, Any]) -> bool:
    """Whether a line is of an unlabelled row of the run, and of labels of its task."""
    row, label, labels = line["row"], line["label"], material.task.labels
    examples = material.encoded["unlabelled"].examples
    if not 0 <= row < len(examples):
        return False
    if material.cfg.task.family != "tagging":
        return isinstance(label, str) and label in labels
    words = len(examples[row].texts)
    return isinstance(label, list) and len(label) == words and {*label} <= {None, *labels}


def prepare(
    material: Material,
    train: Encoded,
    scores: Sequence[Scores],
    learnt: Mapping[str, float],
    target: Mapping[str, float],
) -> Lesson:
    """What a teacher has to teach.

    Args:
        material: of the run.
        train: the labelled rows of the model.
        scores: the teacher's, of the unlabelled rows.
        learnt: of classification the share that each class had in what the teacher learnt from.
        target: that which each has among the unlabelled rows (`target_shares`); {}: the same.
    """
    transfer, labels = material.cfg.transfer, material.task.labels
    pool, about = material.encoded["unlabelled"], dict[str, Any]()
    if target:
        prior, shares = (np.array([of[label] for label in labels]) for of in (learnt, target))
        scores = list(label_shift.corrected(np.stack(scores), prior, shares))
        weights = (shares / _shares(train, labels)).tolist()
        about["target_shares"] = dict(target)
        about["class_weights"] = dict(zip(labels, weights, strict=True))
    said = _said(material, pool.rows, scores)
    taken = chosen(said.classes, said.confidence, transfer.threshold, transfer.per_class)
    lines = _lines(pool.examples, labels, said, taken, material.cfg.task.family == "tagging")
    own, of_pseudo = _kinds(transfer, len(train.examples), len(lines))
    for line in lines:
        line["weight"] = of_pseudo
    about |= {
        "of": len(pool.examples),
        "taken": len(lines),
        "labelled": len(train.examples),
        "labelled_weight": own,
        "pseudo_weight": of_pseudo,
        "classes": _by_class(labels, said, taken),
    }
    if transfer.method == "weighted_pseudo_labels":
        both = transfer.labelled_weight, transfer.pseudo_weight
        about["mass_ratio"] = mass_ratio(len(train.examples), len(lines), both)
    return Lesson(lines, about)


def target_shares(
    material: Material,
    train: Encoded,
    scores: Sequence[Scores],
    dev: tuple[Encoded, Sequence[Scores]],
) -> dict[str, float]:
    """The share of each class among the unlabelled rows; {} without `transfer.shift`.

    Args:
        material: of the run.
        train: the labelled rows, from which alone the model learnt. Of one that has learnt from
            unlabelled rows these are no new rows, and its errors on others say nothing of them.
        scores: the model's, of the unlabelled rows.
        dev: labelled rows that it did not learn from, and of bbse its scores of them.

    Raises:
        UserError: they cannot be told.
    """
    shift, labels = material.cfg.transfer.shift, material.task.labels
    if shift == "none":
        return {}
    said, prior = np.stack(scores), _shares(train, labels)
    gone = [label for label, share in zip(labels, prior, strict=True) if share == 0]
    if gone:
        raise UserError(
            f"transfer.shift={shift}: no row of {', '.join(gone)} is left to "
            "learn from, so its share cannot be told: give data.dev=FILE, or transfer.shift=none"
        )
    if shift == "em":
        shares = label_shift.em_shares(said, prior)
    else:
        guessed, true = np.argmax(np.stack(dev[1]), axis=1), _ids(dev[0].examples, labels)
        confusion = label_shift.confusion_shares(guessed, true, len(labels))
        predicted = label_shift.shares_of(np.argmax(said, axis=1), len(labels))
        try:
            shares = label_shift.bbse_shares(confusion, predicted)
        except label_shift.NotInvertible:
            raise UserError(
                "transfer.shift=bbse: what the model takes for what on dev has no inverse, as it "
                "never says some class or dev lacks one: use transfer.shift=em, a larger dev, or "
                "train longer"
            ) from None
    shares = np.maximum(shares, _LEAST_SHARE)
    return dict(zip(labels, (shares / shares.sum()).tolist(), strict=True))


def taught(material: Material, train: Encoded, lesson: Lesson) -> Encoded:
    """The labelled rows and those of a lesson, each with its weight in the loss."""
    pool, tagging = material.encoded["unlabelled"], material.cfg.task.family == "tagging"
    kept = np.array([line["row"] for line in lesson.lines], np.int64)
    labels = [tuple(x["label"]) if tagging else x["label"] for x in lesson.lines]
    given = [replace(pool.examples[i], label=label) for i, label in zip(kept, labels, strict=True)]
    found = material.encode([*train.examples, *given])
    by_class = lesson.about.get("class_weights", {})
    own, of_pseudo = lesson.about["labelled_weight"], lesson.about["pseudo_weight"]
    weights = [own * (by_class[e.label] if by_class else 1.0) for e in train.examples]
    weights += [of_pseudo] * len(given)
    found.rows.weights = np.array(weights, np.float32)[found.rows.examples]
    if train.rows.states:  # of a frozen encoder
        found.rows.states = [*train.rows.states, *pool.rows.select(kept).states]
    return found


def class_shares(material: Material, encoded: Encoded) -> dict[str, float]:
    """The share of each class in what a model learns from, by its weight; {} for tags."""
    if material.cfg.task.family != "classification":
        return {}
    labels, rows = material.task.labels, encoded.rows
    weights = np.ones(len(encoded.examples))
    if rows.weights is not None:
        weights[rows.examples] = rows.weights
    ids = _ids(encoded.examples, labels)
    return dict(zip(labels, label_shift.shares_of(ids, len(labels), weights).tolist(), strict=True))


def _kinds(transfer: TransferConfig, labelled: int, pseudo: int) -> tuple[float, float]:
    """What a row of each kind weighs."""
    if transfer.method == "self_training":
        return 1.0, 1.0
    both = transfer.labelled_weight, transfer.pseudo_weight
    return row_weights(labelled, pseudo, both, transfer.mean)


def _shares(encoded: Encoded, labels: Sequence[str]) -> np.ndarray:
    return label_shift.shares_of(_ids(encoded.examples, labels), len(labels))


def _ids(examples: Sequence[Example], labels: Sequence[str]) -> np.ndarray:
    ids = {label: i for i, label in enumerate(labels)}
    return np.array([ids[example.label] for example in examples], np.int64)


def _said(material: Material, rows: Rows, scores: Sequence[Scores]) -> Said:
    if material.cfg.task.family == "classification":
        probabilities = np.stack(scores)
        every = np.arange(len(scores))
        classes = probabilities.argmax(1)
        return Said(every, np.zeros_like(every), classes, probabilities[every, classes])
    held: dict[int, set[int]] = defaultdict(set)  # words that are in a row and not cut off
    for owner, (words, _) in zip(rows.examples.tolist(), rows.details, strict=True):
        held[owner].update(words.tolist())
    owners = [np.full(len(held[i]), i) for i in range(len(scores))]
    places = [np.array(sorted(held[i]), np.int64) for i in range(len(scores))]
    classes = [
        (s.probabilities.argmax(1) if s.path is None else s.path)[at]
        for s, at in zip(scores, places, strict=True)
    ]
    sure = [s.probabilities[at, said] for s, at, said in zip(scores, places, classes, strict=True)]
    return Said(*map(np.concatenate, (owners, places, classes, sure)))


def _lines(
    examples: Sequence[Example], labels: Sequence[str], said: Said, taken: np.ndarray, tags: bool
) -> list[dict[str, Any]]:
    """A line for every row of which something is taken; of tags those that are not are null."""
    lines = []
    kept = np.flatnonzero(taken)
    rows, begins = np.unique(said.owners[kept], return_index=True)  # owners ascend
    for row, at in zip(rows.tolist(), np.split(kept, begins[1:]), strict=False):
        line: dict[str, Any] = {"row": row, "id": examples[row].id}
        names = [labels[c] for c in said.classes[at]]
        if tags:
            words: list[Any] = [None] * len(examples[row].texts)
            sure: list[Any] = list(words)
            for place, name, x in zip(said.places[at], names, said.confidence[at], strict=True):
                words[place], sure[place] = name, float(x)
            line |= {"label": words, "confidence": sure}
        else:
            line |= {"label": names[0], "confidence": float(said.confidence[at[0]])}
        lines.append(line)
    return lines


def _by_class(labels: Sequence[str], said: Said, taken: np.ndarray) -> dict[str, dict[str, Any]]:
    """How often each class is said and taken in, and how sure the teacher is of what is taken."""
    found = {}
    for c, label in enumerate(labels):
        sure = said.confidence[taken & (said.classes == c)]
        found[label] = {
            "said": int(np.sum(said.classes == c)),
            "taken": len(sure),
            "confidence": float(sure.mean()) if len(sure) else None,
        }
    return found
