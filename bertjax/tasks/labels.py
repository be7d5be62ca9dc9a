"""Which labels there are, in which order, and what is wrong with one that is not among them."""

from __future__ import annotations

import re
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence

from bertjax.errors import UserError, nearest
from bertjax.tasks.task import Example

_NUMBER = re.compile(r"-?\d+(\.\d+)?")


def ordered_labels(
    examples: Sequence[Example], found: Collection[str], named: tuple[str, ...]
) -> tuple[str, ...]:
    """`named`, the labels of the config; else those found in training examples, sorted.

    Labels that all are numbers are sorted by value.

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
    numeric = all(_NUMBER.fullmatch(label) for label in found)
    return tuple(sorted(found, key=lambda label: (float(label) if numeric else 0.0, label)))


def check_varied(examples: Sequence[Example], answers: Iterable[Hashable]) -> None:
    """Raise UserError if training examples all have the same answer."""
    if len(set(answers)) == 1:
        raise UserError(
            f"{_file_of(examples)}: all {len(examples)} rows have the label "
            f"{examples[0].label!r}, which leaves nothing to learn: check data.label"
        )


def check_named(label: str, named: tuple[str, ...]) -> None:
    """Raise ValueError for a label that the config, if it names labels, does not name."""
    if named and label not in named:
        raise ValueError(f"label {label!r} is not in task.labels: {nearest(label, named)}")


def label_id(label: str, ids: Mapping[str, int], example: Example) -> int:
    """The id of an example's label; UserError for one that was not learnt."""
    if label not in ids:
        raise UserError(
            f"{example.place}: label {label!r} is none of the labels learnt: {nearest(label, ids)}"
        )
    return ids[label]


def _file_of(examples: Sequence[Example]) -> str:
    return examples[0].place.rpartition(":")[0]
