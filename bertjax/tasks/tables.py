"""Rows of text and labels from every layout that holds a table."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

import numpy as np

from bertjax.config import ExamplesConfig
from bertjax.errors import UserError
from bertjax.tasks.blank import is_blank
from bertjax.text.account import Account, Problem
from bertjax.text.delimited import Form
from bertjax.text.inputs import find_inputs
from bertjax.text.layouts import NAMES, Input
from bertjax.text.records import id_of, reach, read_records
from bertjax.text.stored import check_text

_SPLIT = re.compile(r"(?:^|[^a-z])(train|dev|validation|valid|test)(?:[^a-z]|$)")
_IN_QUOTES = re.compile('"([^"]+)"')
_TABLES = ("csv", "tsv", "json", "jsonl", "parquet", "arrow", "saved", "tfds")


@dataclass(frozen=True)
class Row:
    """What was asked of one row."""

    place: str  # "file:line"
    id: str  # its field `id`, `index` or `idx`; without one its number from 0, over all files
    texts: dict[str, str]  # by column
    labels: dict[str, Any] = field(default_factory=dict)  # by column, of whatever type


@dataclass(frozen=True)
class Table:
    """The rows of an input, and the names of the classes that its columns declare."""

    rows: list[Row]
    classes: Mapping[str, tuple[str, ...]]


def row_account(data: ExamplesConfig) -> Account:
    """An account that refuses bad rows, or counts them where the user asked for that."""
    hint = "; correct the row, or leave such rows out with data.skip_bad_rows=true"
    return Account(data.skip_bad_rows, hint)


def table_form(data: ExamplesConfig) -> Form:
    """How a table is written, as far as the config says; a tab may be spelt out there."""
    return Form(data.header, data.separator.replace("\\t", "\t"), data.quotes)


def read_table(
    path: str,
    data: ExamplesConfig,
    texts: Sequence[str],
    labels: Sequence[str] = (),
    account: Account | None = None,
) -> Table:
    """The fields `texts` and `labels` of every row of a file, a directory or a data set.

    Columns are named as `ExamplesConfig` says; in JSON, Parquet, Arrow and TFDS a dotted name
    reaches into nested fields and, by number, into lists. Numbers become text where text is asked
    for; labels stay what they are. A row is bad if it is ragged or not JSON, or if a field is
    missing, or a text blank or no text.

    Raises:
        UserError: the file cannot be read or has no such columns, or a row is bad and
            `data.skip_bad_rows` is off.
    """
    account = account or row_account(data)
    form = table_form(data)
    rows: list[Row] = []
    classes: dict[str, tuple[str, ...]] = {}
    number = 0
    for source in labelled_inputs(path, texts[0], account, data.layout):
        if source.layout not in _TABLES:
            raise UserError(_no_table(source.name, source.layout))
        records, first = read_records(source, (*texts, *labels), form, account), len(rows)
        account.read[NAMES[source.layout]] += 1
        classes |= {name: names for name, names in records.classes.items() if names}
        for place, fields in records.rows:
            try:
                if isinstance(fields, Problem):
                    raise fields
                row = Row(
                    place,
                    id_of(fields) or str(number),
                    {column: _text(reach(fields, column), column) for column in texts},
                    {column: _label(reach(fields, column), column) for column in labels},
                )
            except Problem as problem:
                account.leave(place, problem)
            else:
                rows.append(row)
            number += 1
        if form.quotes == "auto" and source.layout in ("csv", "tsv"):
            _note_quotes(source.name, rows[first:], account)
    return Table(rows, classes)


def _note_quotes(name: str, rows: Sequence[Row], account: Account) -> None:
    """Note columns of which every value is in quotes, and labels that are there without, too."""
    for column in (*rows[0].texts, *rows[0].labels) if rows else ():
        values = {row.labels.get(column, row.texts.get(column, "")) for row in rows}
        inner = {value: found[1] for value in values if (found := _IN_QUOTES.fullmatch(value))}
        is_mixed = column in rows[0].labels and not values.isdisjoint(inner.values())
        if inner and (len(inner) == len(values) or is_mixed):
            account.note(
                f"{name}: values of column {column!r} are in quotes, such as {min(inner)[:40]}, "
                "which are taken for text: if they are none, set data.quotes=doubled"
            )


def labelled_inputs(path: str, field: str, account: Account, layout: str) -> list[Input]:
    """What there is to read of labelled examples; see `find_inputs`.

    Raises:
        UserError: as there, or the files of a directory or pattern are meant to be kept apart.
    """
    sources = find_inputs(path, field, account, layout)
    firsts = (_SPLIT.search(PurePath(source.name).stem.lower()) for source in sources)
    found = sorted({match[1] for match in firsts if match})
    if len(found) > 1:
        raise UserError(
            f"{path}: holds files of the splits {', '.join(found)}: name one, such as "
            f"{PurePath(sources[0].name).parent / found[0]}-*"
        )
    return sources


def _no_table(name: str, layout: str) -> str:
    what = f"a file of layout {layout!r}" if layout else "a file whose name says no layout"
    return (
        f"{name}: {what}, not a table: name it .tsv, .csv, .jsonl, .json or .parquet, also with "
        ".gz, .xz, .bz2 or .zst, or set data.layout"
    )


def _label(value: Any, column: str) -> Any:
    """A field as it is; `Problem` where what it or an item of its list says is no text."""
    for each in value if isinstance(value, list | tuple) else (value,):
        if isinstance(each, str):
            check_text(each, f"field {column!r}")
    return value


def _text(value: Any, column: str) -> str:
    """One field as text; `Problem` for what is none, or blank."""
    if isinstance(value, bytes):
        try:
            value = value.decode()
        except UnicodeDecodeError as error:
            said = f"byte {error.start} of field {column!r} is not UTF-8"
            raise Problem("not UTF-8", said) from None
    if isinstance(value, bool | np.bool_):
        value = str(value).lower()
    elif isinstance(value, int | float | np.number) and value == value:
        value = str(value)
    if not isinstance(value, str):
        is_null = value is None or isinstance(value, float)  # NaN, as any other is text by now
        kind = "null" if is_null else type(value).__name__
        raise Problem("not text", f"field {column!r} holds {kind}, not text")
    if is_blank(value):
        raise Problem("blank text", f"column {column!r} is blank")
    check_text(value, f"field {column!r}")
    return value
