"""Which labels there are, in which order, and what is wrong with one that is not among them."""

from __future__ import annotations

import re
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence

from bertjax.errors import UserError
from bertjax.tasks.label_values import key_of
from bertjax.tasks.task import Example

_NUMBER = re.compile(r"-?\d+(\.\d+)?")


def ordered_labels(
    examples: Sequence[Example], found: Collection[str], named: tuple[str, ...]
) -> tuple[str, ...]:
    """`named`, the labels of the config; else those found in training examples.

    They are in the order that the file declares, else sorted, numbers by value.

    Raises:
        UserError: a label in `named` has no example.
    """
    for label in named:
        if label not in found:
            raise UserError(
                f"{_file_of(examples)}: no row has the label {label!r} of task.labels: add rows, "
                "or take it out"
            )
    if named:
        return named
    declared = examples[0].declared
    if declared and set(found) <= set(declared):
        return tuple(label for label in declared if label in found)
    numeric = all(_NUMBER.fullmatch(label) for label in found)
    return tuple(sorted(found, key=lambda label: (float(label) if numeric else 0.0, label)))


def check_varied(examples: Sequence[Example], answers: Iterable[Hashable]) -> None:
    """Raise UserError if training examples all have the same answer."""
    if len(set(answers)) == 1:
        raise UserError(
            f"{_file_of(examples)}: all {len(examples)} rows have the label "
            f"{examples[0].label!r}, which leaves nothing to learn: check data.label"
        )


def label_id(label: str, ids: Mapping[str, int], example: Example) -> int:
    """The id of an example's label; UserError for one that was not learnt."""
    if label not in ids:
        raise UserError(f"{example.place}: {not_learnt(label, tuple(ids))}")
    return ids[label]


def by_key(labels: Sequence[str]) -> dict[str, str]:
    """The labels by what they have in common with other files' (`key_of`)."""
    return {key_of(label): label for label in labels}


def not_learnt(label: str, labels: Sequence[str]) -> str:
    """What is wrong with a label that no training example has, and what to do about it."""
    more = ", ..." if len(labels) > 8 else ""
    return (
        f"label {label!r} is none of the {len(labels)} learnt ({', '.join(labels[:8])}{more}): "
        "train on examples of it, correct it, or leave such rows out with data.skip_bad_rows=true"
    )


def _file_of(examples: Sequence[Example]) -> str:
    return examples[0].place.rpartition(":")[0]
