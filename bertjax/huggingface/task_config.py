"""What `config.json` says of a task: its labels, its kind of problem, its dropout."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bertjax.config import SENTENCE_FAMILIES, HeadConfig
from bertjax.errors import UserError
from bertjax.huggingface.config_json import typed
from bertjax.huggingface.names import Architecture, task_class_families
from bertjax.huggingface.systems import SYSTEMS, Head, System, class_of, short
from bertjax.model.task import TaskShape

# Families that one class of transformers tells apart by this field.
_PROBLEMS = {
    "classification": "single_label_classification",
    "multi_label": "multi_label_classification",
    "regression": "regression",
}
_LABELLED = ("classification", "multi_label", "regression", "tagging")
_CHOICES = "num_choices"  # ours: transformers sees the number in each batch


def to_task_fields(
    architecture: Architecture, head: HeadConfig, shape: TaskShape, labels: Sequence[str]
) -> dict[str, Any]:
    """Return the fields to add to an encoder's `config.json`.

    Raises UserError if the labels are not as many as the task's classes.
    """
    word, pooling = architecture.head.dropout, architecture.system.pooling
    fields = {one.theirs: one.value for one in architecture.head.words}
    fields |= {word: head.dropout} if word else {}
    if pooling and shape.family in SENTENCE_FAMILIES:
        fields[pooling.theirs] = pooling.values[head.pooling]
    if shape.family in _LABELLED:
        if len(labels) != shape.classes:
            raise UserError(
                f"{len(labels)} labels for {shape.classes} classes: export with the labels of the "
                "run, one a class"
            )
        fields["id2label"] = {str(i): label for i, label in enumerate(labels)}
        fields["label2id"] = {label: i for i, label in enumerate(labels)}
    if shape.family in _PROBLEMS:
        fields["problem_type"] = _PROBLEMS[shape.family]
    if shape.family == "multiple_choice":
        fields[_CHOICES] = shape.classes
    return fields


def from_task_fields(
    content: dict[str, Any], source: Path
) -> tuple[HeadConfig, TaskShape, tuple[str, ...]]:
    """Return head, shape and labels that a `config.json` describes.

    A multiple choice made elsewhere does not say how many endings it has: its `classes` is 0.
    Raises UserError if the class is not one of a task, or a field makes no sense.
    """
    name = class_of(content)
    system = SYSTEMS[content["model_type"]]
    families = task_class_families(system, name or "")
    if not families:
        raise UserError(
            f"{source}: architectures={short(name)} is no model with a head for a task that "
            "bertjax has: fine-tune one from it first"
        )
    labels = _labels(content, source)
    family = _family(content, families, len(labels), source)
    theirs = system.heads[family]
    for word in theirs.words:
        if (value := content.get(word.theirs, word.default)) != word.value:
            raise UserError(
                f"{source}: {word.theirs}={short(value)}: of {name} only "
                f"{word.theirs}={word.value!r} is supported"
            )
    try:
        head = HeadConfig(
            dropout=_dropout(content, system, theirs, source),
            pooling=_pooling(content, system, theirs, family, source),
            bias=theirs.bias,
        )
    except UserError as error:
        raise UserError(f"{source}: {error}") from None
    if family == "multiple_choice":
        return head, TaskShape(family, typed(content, _CHOICES, int, 0, source)), ()
    if family == "span_qa":
        return head, TaskShape(family, 2), ()
    return head, TaskShape(family, len(labels)), labels


def _family(content: dict[str, Any], families: Sequence[str], count: int, source: Path) -> str:
    """Tell families of one class apart as transformers does when it computes their loss."""
    if len(families) == 1:
        return families[0]
    problem = content.get("problem_type")
    if problem is None:
        return "regression" if count == 1 else "classification"
    for family in families:
        if problem == _PROBLEMS[family]:
            if family == "regression" and count != 1:
                raise UserError(
                    f"{source}: problem_type={short(problem)} with {count} labels: bertjax "
                    "predicts one value"
                )
            return family
    raise UserError(
        f"{source}: problem_type={short(problem)} is not known: use {', '.join(_PROBLEMS.values())}"
    )


def _labels(content: dict[str, Any], source: Path) -> tuple[str, ...]:
    """Labels in order of their ids; LABEL_0, LABEL_1 ... where there are none, as transformers."""
    named = content.get("id2label")
    if named is None:
        count = typed(content, "num_labels", int, 2, source)
        named = {str(i): f"LABEL_{i}" for i in range(min(count, 2**16))}
    if not isinstance(named, dict) or set(named) != {str(i) for i in range(len(named))}:
        raise UserError(
            f"{source}: id2label={short(named)} does not name the ids 0, 1, 2 ...: correct the file"
        )
    labels = tuple(named[str(i)] for i in range(len(named)))
    if not all(isinstance(label, str) for label in labels) or len(set(labels)) < len(labels):
        raise UserError(
            f"{source}: id2label={short(named)}: labels are different strings; correct the file"
        )
    return labels


def _pooling(
    content: dict[str, Any], system: System, theirs: Head, family: str, source: Path
) -> str:
    if system.pooling is None or family not in SENTENCE_FAMILIES:
        return theirs.pooling
    word, values, default = system.pooling
    ours = {value: name for name, value in values.items()}
    value = content.get(word, default)
    if value not in ours:
        raise UserError(f"{source}: {word}={short(value)} is not known: use {', '.join(ours)}")
    return ours[value]


def _dropout(content: dict[str, Any], system: System, head: Head, source: Path) -> float:
    if not head.dropout:  # most classes for spans have none before the last layer
        return 0.0
    if content.get(head.dropout) is not None or head.default_dropout is not None:
        return typed(content, head.dropout, float, head.default_dropout, source)
    of_encoder = next(one for one in system.fields if one.ours == "hidden_dropout")
    return typed(content, of_encoder.theirs, float, of_encoder.default, source)
