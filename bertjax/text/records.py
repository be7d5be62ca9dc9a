"""Rows of files and data sets as dicts, whatever they are stored in.

Fields of JSON, Parquet, Arrow and TFDS may be nested and of any type; class numbers are the names
of their classes where the file has them. A row that cannot be used is a `Problem`; only what
concerns a whole file (it is missing, damaged, without the columns that are asked for) raises.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np

from bertjax.errors import UserError, nearest
from bertjax.text.account import Account, MissingColumn, Problem
from bertjax.text.arrow import ArrowTable, classes_of, open_arrow, open_parquet, open_saved
from bertjax.text.delimited import Form, read_delimited
from bertjax.text.json_rows import lines_of_json, rows_of_json
from bertjax.text.layouts import Input
from bertjax.text.stored import check_text, read_text, text_lines
from bertjax.text.tfds import open_tfds

ID_FIELDS = ("id", "index", "idx")  # what a row is called by, in files that have one of them

Record = tuple[str, "dict[str, Any] | Problem"]  # the place of a row, and its fields by name


@dataclass(frozen=True)
class Records:
    """The rows of an input, read as they are asked for."""

    rows: Iterator[Record]
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # names, by column
    schema: Any = None  # pyarrow's, of a table that has one
    count: int = 0  # rows, where that is known beforehand


def read_records(source: Input, columns: Sequence[str], form: Form, account: Account) -> Records:
    """The records of an input that has at least the fields `columns`.

    Raises:
        UserError: the file cannot be read, holds no rows or has no such columns.
    """
    name, layout = source
    if layout == "tfds":
        return _tfds(name, columns)
    if layout in ("csv", "tsv"):
        text = read_text(name, account)
        return Records(read_delimited(name, text, columns, layout, form))
    if layout == "jsonl":
        lines = text_lines(read_text(name, account))
        return _objects(name, lines_of_json(name, lines), columns)
    if layout == "json":
        rows = iter(rows_of_json(name, read_text(name, account), columns))
        return _objects(name, rows, columns)
    opener = {"parquet": open_parquet, "arrow": open_arrow, "saved": open_saved}[layout]
    return _table(opener(name), columns)


def id_of(fields: Mapping[str, Any]) -> str:
    """What the row is called by; empty if it has none of `ID_FIELDS`; `Problem` for no text."""
    found = (fields[name] for name in ID_FIELDS if name in fields)
    value = next((value for value in found if value not in (None, "")), "")
    name = str(value).lower() if isinstance(value, bool) else str(value)
    check_text(name, "the id")
    return name


def reach(fields: Mapping[str, Any], column: str) -> Any:
    """The field of that name, or, where none has it whole, the nested one along its dots.

    A number picks the item of a list, from 0; a name, that field of every object in a list. Raises
    `Problem` where there is no such field.
    """
    if column in fields:
        return fields[column]
    value: Any = fields
    for part in column.split("."):
        if isinstance(value, Mapping) and part in value:
            value = value[part]
        elif isinstance(value, list | tuple) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        elif isinstance(value, list) and all(isinstance(v, Mapping) and part in v for v in value):
            value = [item[part] for item in value]
        else:
            raise Problem(
                "no such field", f"no field {column!r}: {nearest(column, map(str, fields))}"
            )
    return value


def _objects(name: str, rows: Iterator[tuple[str, Any]], columns: Sequence[str]) -> Records:
    """Objects as they are; a text, where one field is asked for, as that field."""
    first = next(rows, None)
    if first is None:
        raise UserError(f"{name}: the file is empty: give one with rows")

    def checked() -> Iterator[Record]:
        for place, value in chain([first], rows):
            if isinstance(value, str) and len(columns) == 1:
                value = {columns[0]: value}
            if not isinstance(value, dict | Problem):
                kind = type(value).__name__
                value = Problem("not an object", f"a JSON {kind}, not an object")
            yield place, value

    return Records(checked())


def _table(table: ArrowTable, columns: Sequence[str]) -> Records:
    roots = [table.root(column) for column in columns]
    ids = [name for name in ID_FIELDS if table.schema.names.count(name) == 1]
    rows = (
        (f"{table.name}:{number}", fields)
        for number, fields in enumerate(table.dicts(list(dict.fromkeys([*roots, *ids]))), start=1)
    )
    features = table.features()
    classes = {column: classes_of(features, column) for column in columns}
    return Records(rows, classes, table.schema, table.rows)


def _tfds(name: str, columns: Sequence[str]) -> Records:
    opened = open_tfds(name.removeprefix("tfds:"))
    source, features = opened.data_source, opened.features
    roots = set()
    for column in columns:
        root = column if column in features else column.split(".")[0]
        if root not in features:
            raise MissingColumn(opened.name, column, features)
        roots.add(root)
    roots |= {name for name in ID_FIELDS if name in features}

    def rows() -> Iterator[Record]:
        for start in range(0, len(source), 64):
            batch = range(start, min(start + 64, len(source)))
            try:
                examples = source.__getitems__(list(batch))
            except RuntimeError as error:
                raise UserError(
                    f"{name}: examples {batch.start} to {batch.stop - 1} cannot be read "
                    f"({str(error).splitlines()[0]}): the data set is damaged; make it again"
                ) from None
            for row, example in zip(batch, examples, strict=True):
                yield f"{name}:{row + 1}", {n: _named(features[n], example[n]) for n in roots}

    classes = {
        column: tuple(getattr(features[column], "names", None) or ())
        for column in columns
        if column in features
    }
    return Records(rows(), classes, None, len(source))


def _named(feature: Any, value: Any) -> Any:
    """The value of a TFDS feature with class numbers as names, in nested features and lists too."""
    if isinstance(value, dict):
        return {name: _named(feature[name], inner) for name, inner in value.items()}
    if np.ndim(value):
        return [_named(getattr(feature, "feature", feature), inner) for inner in value]
    if hasattr(feature, "int2str"):
        return feature.int2str(int(value)) if value >= 0 else None
    return value
