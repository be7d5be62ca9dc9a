"""Rows of JSON: Lines, arrays, and the objects in which libraries wrap a table."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from bertjax.errors import UserError
from bertjax.text.account import Problem

_WHITE = re.compile(r"[ \t\r\n]*")

Row = tuple[str, Any]  # its place, and its value or a `Problem`


def parse_line(line: str) -> Any:
    """The value on a line of JSON Lines; `Problem` if it is none."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise Problem("not JSON", f"not JSON ({error})") from None


def lines_of_json(name: str, lines: Sequence[str]) -> Iterator[Row]:
    """A value a line, blank lines aside; the place of each is `name:line`."""
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                yield f"{name}:{number}", parse_line(line)
            except Problem as problem:
                yield f"{name}:{number}", problem


def rows_of_json(name: str, text: str, columns: Sequence[str]) -> list[Row]:
    """The rows of a JSON file that is not JSON Lines; the place of each is `name:number`.

    They are the items of an array or of the one list in an object (`data`, where there are
    several), values one after another, a list or an object of values a column, or what pandas'
    `to_json` writes in any orientation. `columns` are those that a row should have.

    Raises:
        UserError: it is not JSON, or an object that holds no rows.
    """
    values = _values(name, text)
    rows = values if len(values) > 1 else _unwrap(name, values[0], columns)
    return [(f"{name}:{number}", row) for number, row in enumerate(rows, start=1)]


def parse_json(name: str, text: str) -> Any:
    """The one value of a JSON file; UserError if it is not JSON, or is more than one."""
    values = _values(name, text)
    if len(values) > 1:
        raise UserError(
            f"{name}: not JSON but {len(values)} values of it one after another: put them in one "
            "list, or name the file .jsonl with one a line"
        )
    return values[0]


def _values(name: str, text: str) -> list[Any]:
    decoder, found, position = json.JSONDecoder(), [], 0
    try:
        while True:
            position = _WHITE.match(text, position).end()  # type: ignore[union-attr]
            if position == len(text):
                break
            value, position = decoder.raw_decode(text, position)
            found.append(value)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{name}: not JSON ({error}): correct it, or write it again") from None
    if not found:
        raise UserError(f"{name}: the file is empty: give one with rows")
    return found


def _unwrap(name: str, content: Any, columns: Sequence[str]) -> Sequence[Any]:
    if isinstance(content, list):
        return content
    if not isinstance(content, dict):
        raise UserError(f"{name}: a JSON {type(content).__name__}, not a list of rows")
    roots = [column.split(".")[0] for column in columns]
    if isinstance(content.get("columns"), list) and isinstance(content.get("data"), list):
        return _of_split(content["columns"], content["data"])
    lists = {key: value for key, value in content.items() if isinstance(value, list)}
    if set(roots) <= set(content):
        return _of_columns(name, content, roots)
    if "data" in lists or len(lists) == 1:
        rows = lists.get("data") or next(iter(lists.values()))
        wrapped = {"row", "row_idx"}  # by the server of Hugging Face's Hub
        return [r["row"] if isinstance(r, dict) and wrapped <= set(r) else r for r in rows]
    inner = list(content.values())
    if inner and all(isinstance(row, dict) for row in inner) and set(roots) <= set(inner[0]):
        return inner  # a row a key: pandas' orientation `index`
    shown = ", ".join(map(str, list(content)[:6]))
    raise UserError(
        f"{name}: a JSON object with {shown or 'nothing'}, in which there are no rows with "
        f"{', '.join(map(repr, columns))}: give a list of objects, or JSON Lines"
    )


def _of_split(columns: Sequence[Any], rows: Sequence[Any]) -> Sequence[Any]:
    """Rows of pandas' orientation `split`, where a list has the names and others the values."""
    names = [str(column) for column in columns]
    said = f"no list of {len(names)} values, as many as there are columns"
    return [
        dict(zip(names, row, strict=True))
        if isinstance(row, list) and len(row) == len(names)
        else Problem("ragged", said)
        for row in rows
    ]


def _of_columns(name: str, content: dict[str, Any], roots: Sequence[str]) -> Sequence[Any]:
    """Rows of an object whose fields are columns: lists, or objects by row; or its one row."""
    kinds = {type(content[root]) for root in roots}
    if kinds == {list}:
        columns = {key: value for key, value in content.items() if isinstance(value, list)}
    elif kinds == {dict}:
        columns = {
            key: list(value.values()) for key, value in content.items() if isinstance(value, dict)
        }
    else:
        return [content]
    sizes = {key: len(value) for key, value in columns.items()}
    if len(set(sizes.values())) > 1:
        raise UserError(
            f"{name}: its columns are not equally long ({sizes}): write it again, a row an object"
        )
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
