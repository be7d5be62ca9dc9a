"""The labels of a whole column, decided once by the type of what is in it.

Numbers that are equal are one label, however they are written; null, NaN, blanks, the -1 of class
numbers and marks such as SNLI's `-` are no label; labels that differ only in what cannot be seen
are one. In the place of a label that cannot be used stands a `Problem`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from bertjax.errors import UserError, nearest
from bertjax.tasks.label_doubts import note_doubts, note_joined
from bertjax.tasks.label_values import (
    as_list,
    is_bool,
    is_missing,
    is_number,
    key_of,
    spelt,
    spelt_number,
    visible,
)
from bertjax.tasks.labels import by_key
from bertjax.text.account import Account, Problem

_MARKS = ("-", "–", "?")  # of annotators who did not agree
_MARKS_AMID_NUMBERS = (*_MARKS, "na", "none", "_")
_LARGEST = 3.4028234663852886e38  # of the numbers in which a model computes
_SWITCH = {"1": True, "0": False, "true": True, "false": False, "": False}


@dataclass(frozen=True)
class LabelColumn:
    """The values of a label column, and what is known of it."""

    place: str  # the file, for messages
    name: str
    values: Sequence[Any]
    named: tuple[str, ...] = ()  # the labels that the config names; only these may occur
    classes: tuple[str, ...] = ()  # names of class numbers, where the file declares them


class Decided(NamedTuple):
    """A label or a `Problem` for every row, and the labels there are where the file says so."""

    labels: list[Any]
    declared: tuple[str, ...] = ()


def one_each(column: LabelColumn, account: Account) -> Decided:
    """A label for every row, as classification has it.

    Raises:
        UserError: the column holds lists, or real numbers that the config does not name.
    """
    missing = _missing(column)
    present = [v for v, gone in zip(column.values, missing, strict=True) if not gone]
    _refuse_lists(column, present)
    if not column.named:
        _refuse_reals(column, present)
    labels = _each(column, column.values, missing, _speller(column, present))
    if not column.named:
        raw = [None if gone else v for v, gone in zip(column.values, missing, strict=True)]
        note_doubts(column.place, raw, labels, account)
    found = {label for label in labels if isinstance(label, str)}
    return Decided(labels, tuple(name for name in column.classes if name in found))


def any_each(column: LabelColumn, separator: str, account: Account) -> Decided:
    """A tuple of labels for every row, as multi_label has it.

    A value is a list, a list written as text, labels with `separator` between, an object with 0 or
    1 a label, or a vector with 0 or 1 a label: then the labels are those the config names, else
    LABEL_0 and so on, as transformers calls them.

    Raises:
        UserError: the column holds lists of real numbers, or vectors that do not fit the config.
    """
    rows: list[Any] = [_items(value, separator) for value in column.values]
    present = [found for found in rows if found is not None]
    if present and all(isinstance(found, Mapping) for found in present):
        names = tuple(dict.fromkeys(str(name) for found in present for name in found))
        return Decided(_each(column, rows, _gone(rows), lambda found: _switched_on(found)), names)
    rows = [list(found) if isinstance(found, Mapping) else found for found in rows]
    present = [found for found in rows if found is not None]
    if _are_vectors(present, column.named):
        names = column.named or tuple(f"LABEL_{i}" for i in range(len(present[0])))
        if len(names) != len(present[0]):
            raise UserError(
                f"{column.place}: {column.name!r} holds vectors of {len(present[0])}, but "
                f"task.labels names {len(names)}: name one label a place"
            )
        vectors = [None if f is None else dict(zip(names, f, strict=True)) for f in rows]
        return Decided(_each(column, vectors, _gone(rows), _switched_on), names)
    flat = [item for found in present for item in found]
    _refuse_fractions(column, flat)
    spell = _speller(column, flat)

    def labels(found: list[Any]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(spell(item) for item in found if not is_missing(item)))

    made = _each(column, rows, _gone(rows), labels)
    seen = {label for labels in made if isinstance(labels, tuple) for label in labels}
    if not column.named:
        note_joined(column.place, seen, separator, account)
    return Decided(made, tuple(name for name in column.classes if name in seen))


def a_column_each(columns: Sequence[LabelColumn]) -> Decided:
    """A tuple of labels for every row, from a column with 0 or 1 for each label.

    Raises:
        UserError: the config names other labels than there are columns.
    """
    first, names = columns[0], tuple(column.name for column in columns)
    if first.named and set(first.named) != set(names):
        raise UserError(
            f"{first.place}: data.label names the columns {', '.join(names)}, but task.labels is "
            f"{list(first.named)}: leave it out, or name the same"
        )
    rows = [
        dict(zip(names, values, strict=True))
        for values in zip(*(column.values for column in columns), strict=True)
    ]
    return Decided(_each(first, rows, [False] * len(rows), _switched_on), first.named or names)


def number_each(column: LabelColumn) -> Decided:
    """A finite number for every row, as regression has it."""
    missing = [is_missing(v) and not isinstance(v, str | float) for v in column.values]
    return Decided(_each(column, column.values, missing, _number))


def _each(
    column: LabelColumn,
    values: Sequence[Any],
    missing: Sequence[bool],
    label: Callable[[Any], Any],
) -> list[Any]:
    made = []
    for value, stored, gone in zip(values, column.values, missing, strict=True):
        if gone:
            shown = "null" if stored is None else repr(stored)
            made.append(Problem("without a label", f"column {column.name!r} has no label: {shown}"))
            continue
        try:
            made.append(label(value))
        except Problem as problem:
            made.append(problem)
    return made


def _gone(rows: Sequence[Any]) -> list[bool]:
    return [found is None for found in rows]


def _missing(column: LabelColumn) -> list[bool]:
    """Whether each value is none, or stands for none beside the others."""
    values = [visible(v) if isinstance(v, str) else v for v in column.values]
    named = set(column.named)
    gone = [
        is_missing(value) and not (isinstance(value, str) and value in named) for value in values
    ]
    if named:
        return gone  # any other value is none of the labels
    present = [value for value, missing in zip(values, gone, strict=True) if not missing]
    words = {value for value in present if isinstance(value, str)}
    numbers_only = [v for v in present if not (isinstance(v, str) and _is_mark(v, True))]
    if _are_numbers(numbers_only):
        marks = {word for word in words if _is_mark(word, True)}
    elif len({value for value in words if not _is_mark(value)}) > 1 and "+" not in words:
        marks = {word for word in words if _is_mark(word)}
    else:
        marks = set()
    unset = _has_unset_classes(numbers_only)
    return [
        missing
        or (isinstance(value, str) and value in marks)
        or (unset and is_number(value) and spelt_number(value) == "-1")
        for value, missing in zip(values, gone, strict=True)
    ]


def _is_mark(word: str, amid_numbers: bool = False) -> bool:
    return word.lower() in (_MARKS_AMID_NUMBERS if amid_numbers else _MARKS)


def _has_unset_classes(present: Sequence[Any]) -> bool:
    """Whether -1 stands beside 0, 1, 2 and so on; beside 0 and 1 alone it may be a class."""
    if not _are_numbers(present):
        return False
    found = {spelt_number(value) for value in present}
    others = found - {"-1"}
    return "-1" in found and len(others) > 2 and others == {str(i) for i in range(len(others))}


def _are_numbers(values: Sequence[Any]) -> bool:
    return bool(values) and all(is_number(value) for value in values)


def _speller(column: LabelColumn, present: Sequence[Any]) -> Callable[[Any], str]:
    """How the values of a column become labels; `Problem` for one that the config does not name."""
    amid_numbers = any(map(is_bool, present)) and any(map(is_number, present))
    words = {str(value) for value in present}
    lower = {word.lower() for word in words}
    one_case = len(lower) < len(words) and lower <= {"true", "false"}  # as two programs write them
    spell = spelt_number if _are_numbers(present) else spelt
    known = by_key(column.named)

    def label(value: Any) -> str:
        found = str(int(value)) if amid_numbers and is_bool(value) else spell(value)
        found = found.lower() if one_case else found
        if known and found not in column.named and key_of(found) not in known:
            raise Problem(
                "another label",
                f"label {found!r} is not in task.labels: {nearest(found, column.named)}",
            )
        return known[key_of(found)] if known and found not in column.named else found

    return label


def _refuse_lists(column: LabelColumn, present: Sequence[Any]) -> None:
    lists = [value for value in present if as_list(value) is not None]
    written = [value for value in lists if isinstance(value, str)]
    if lists and (len(written) < len(lists) or len(lists) == len(present)):
        raise UserError(
            f"{column.place}: {column.name!r} holds lists, such as {lists[0]!r:.60}: set "
            "task.family=multi_label, or give one label a row"
        )


def _refuse_reals(column: LabelColumn, present: Sequence[Any]) -> None:
    if not _are_numbers(present):
        return
    found = sorted({float(spelt_number(value)) for value in present})
    reals = [value for value in found if not value.is_integer()]
    if reals:
        raise UserError(
            f"{column.place}: {column.name!r} holds real numbers, such as {reals[0]:g}, "
            f"{len(found):,} different ones in {len(present):,} rows: set task.family=regression, "
            "or name the classes in task.labels"
        )


def _refuse_fractions(column: LabelColumn, items: Sequence[Any]) -> None:
    for item in items:
        if isinstance(item, float) and not (is_missing(item) or item.is_integer()):
            raise UserError(
                f"{column.place}: {column.name!r} holds lists of real numbers, such as {item:g}: "
                "give 0 or 1 for each label"
            )


def _items(value: Any, separator: str) -> list[Any] | Mapping[str, Any] | None:
    """What a value of a multi_label column lists; None where it is missing."""
    if isinstance(value, str):
        found = as_list(value)
        if found is None and value.strip() and is_missing(value):
            return None
        parts = value.split(separator) if found is None else found
        return [part for part in parts if not isinstance(part, str) or visible(part)]
    if is_missing(value):
        return None
    if isinstance(value, Mapping):
        return value
    found = as_list(value)
    return [value] if found is None else found


def _are_vectors(rows: Sequence[Any], named: Sequence[str]) -> bool:
    """Whether rows are vectors of 0 and 1, all equally long, and no lists of the labels 0 and 1."""
    sizes = {len(found) for found in rows}
    if len(sizes) != 1 or not all(_is_switch(item) for found in rows for item in found):
        return False
    if sizes == {len(named)} and not {"0", "1"} & set(map(key_of, named)):
        return True
    return min(sizes) >= 2 and len({tuple(map(str, found)) for found in rows}) > 1


def _is_switch(item: Any) -> bool:
    return is_bool(item) or (is_number(item) and spelt_number(item) in ("0", "1"))


def _switched_on(row: Mapping[str, Any]) -> tuple[str, ...]:
    """The labels that have a 1."""
    found = []
    for name, value in row.items():
        shown = spelt_number(value) if is_number(value) else str(value).strip().lower()
        if shown not in _SWITCH:
            raise Problem("without a label", f"column {name!r} holds {value!r}, neither 0 nor 1")
        if _SWITCH[shown]:
            found.append(str(name))
    return tuple(found)


def _number(value: Any) -> float:
    try:
        number = float(visible(value)) if isinstance(value, str) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if is_bool(value) or not abs(number) <= _LARGEST:
        shown = visible(value) if isinstance(value, str) else value
        said = f"label {shown!r} is no finite number of 32 bits, as regression needs"
        if isinstance(value, str) and "," in value:
            said += ": write decimals with a point and thousands without a mark"
        raise Problem("no number", said)
    return number
