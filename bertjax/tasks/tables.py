"""Rows of text from tables: TSV, CSV, JSON Lines, Parquet and TFDS."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bertjax.config import ExamplesConfig
from bertjax.errors import UserError, nearest
from bertjax.tasks.records import ID_FIELDS, read_records

_HALF_PAIR = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Row:
    """What was asked of one row."""

    place: str  # "file:line"
    id: str  # its field `id`, `index` or `idx`; without one its number, from 0
    values: dict[str, str]  # by column


class BadRows:
    """Refuses rows that cannot be used, or counts them where the user asked for that."""

    def __init__(self, data: ExamplesConfig):
        self.skip = data.skip_bad_rows
        self.count = 0

    def add(self, place: str, problem: str) -> None:
        """Raise UserError for the row at `place`, or count it."""
        if not self.skip:
            raise UserError(
                f"{place}: {problem}; correct the row, or leave such rows out with "
                "data.skip_bad_rows=true"
            )
        self.count += 1


def read_table(
    path: str, data: ExamplesConfig, columns: Sequence[str], may_be_blank: Sequence[str] = ()
) -> tuple[list[Row], int]:
    """The fields `columns` of every row, and how many bad rows were left out.

    Columns are named as `ExamplesConfig` says; in JSON, Parquet and TFDS a dotted name reaches
    into nested fields. Numbers become text, and a list in the column `data.label` becomes its
    items joined by `data.label_separator`. A row is bad if it is ragged or not JSON, or if a field
    is missing, blank (those in `may_be_blank` aside) or not text.

    Raises:
        UserError: the file cannot be read or has no such columns, or a row is bad and
            `data.skip_bad_rows` is off.
    """
    rows: list[Row] = []
    bad = BadRows(data)
    for number, (place, fields) in enumerate(read_records(path, data, columns)):
        try:
            if isinstance(fields, str):
                raise ValueError(fields)
            values = {column: _text(fields, column, data) for column in columns}
            for column, value in values.items():
                if not value.strip() and column not in may_be_blank:
                    raise ValueError(f"column {column!r} is blank")
        except ValueError as problem:
            bad.add(place, str(problem))
        else:
            rows.append(Row(place, _id(fields, number), values))
    return rows, bad.count


def _id(fields: Mapping[str, Any], number: int) -> str:
    found = (fields[name] for name in ID_FIELDS if name in fields)
    return next((str(value) for value in found if value not in (None, "")), str(number))


def _text(fields: Mapping[str, Any], column: str, data: ExamplesConfig) -> str:
    """One field as text; ValueError says what is wrong with it."""
    value = _reach(fields, column)
    if isinstance(value, list | tuple) and column == data.label:
        items = [_scalar(item, column) for item in value]
        for item in items:
            if data.label_separator in item:
                raise ValueError(
                    f"label {item!r} holds data.label_separator={data.label_separator!r}"
                )
        return data.label_separator.join(items)
    return _scalar(value, column)


def _reach(fields: Mapping[str, Any], column: str) -> Any:
    """The field of that name, or, where none has it whole, the nested one along its dots."""
    if column in fields:
        return fields[column]
    value: Any = fields
    for part in column.split("."):
        if not isinstance(value, Mapping) or part not in value:
            raise ValueError(f"no field {column!r}: {nearest(column, map(str, fields))}")
        value = value[part]
    return value


def _scalar(value: Any, column: str) -> str:
    if isinstance(value, bytes):
        try:
            value = value.decode()
        except UnicodeDecodeError as error:
            raise ValueError(f"byte {error.start} of field {column!r} is not UTF-8") from None
    if isinstance(value, bool | np.bool_):
        return str(value).lower()
    if isinstance(value, int | float | np.number):
        return str(value)
    if not isinstance(value, str):
        kind = "null" if value is None else type(value).__name__
        raise ValueError(f"field {column!r} holds {kind}, not text")
    if _HALF_PAIR.search(value):
        raise ValueError(f"field {column!r} holds half a surrogate pair, which is not text")
    return value
