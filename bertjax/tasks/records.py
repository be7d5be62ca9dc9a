"""Rows of files and data sets as dicts, whatever they are stored in.

A record is the place of a row, "file:line", and its fields by name, or a sentence that says what is
wrong with it. Fields of JSON, Parquet and TFDS may be nested and of any type. Only what concerns a
whole file (it is missing, damaged, without the columns that are asked for) raises.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bertjax.config import ExamplesConfig
from bertjax.errors import UserError, nearest
from bertjax.tasks.files import open_text
from bertjax.text.tfds import open_tfds

ID_FIELDS = ("id", "index", "idx")  # what a row is called by, in files that have one of them

Record = tuple[str, dict[str, Any] | str]


def read_records(path: str, data: ExamplesConfig, columns: Sequence[str]) -> Iterator[Record]:
    """Records of a file or of `tfds:NAME:SPLIT`, with at least the fields `columns`.

    Raises:
        UserError: the file cannot be read, is of no known layout or has no such columns.
    """
    if path.startswith("tfds:"):
        return _tfds(path, columns)
    layout = data.layout or layout_of(path)
    if layout in ("tsv", "csv"):
        return _delimited(path, layout, data.header, columns)
    if layout == "jsonl":
        return _jsonl(path)
    if layout == "parquet":
        return _parquet(path, columns)
    raise UserError(
        f"{path}: a file of layout {layout!r} has no table: name it .tsv, .csv, .jsonl or "
        ".parquet, also with .gz or .xz, or set data.layout"
    )


def layout_of(path: str) -> str:
    """The suffix of what is compressed: tsv of a.tsv.xz."""
    name = Path(path)
    inner = Path(name.stem) if name.suffix in (".gz", ".xz") else name
    return inner.suffix.removeprefix(".").lower()


def _delimited(path: str, layout: str, header: bool, columns: Sequence[str]) -> Iterator[Record]:
    names: list[str] = []
    width = 0
    for line, cells in _cells(path, layout):
        if not names:
            width = len(cells)
            names = cells if header else _numbers(width)
            _check_columns(path, columns, names, header)
            if header:
                continue
        place = f"{path}:{line}"
        if len(cells) != width:
            yield place, f"{len(cells)} fields where the first line has {width}"
        else:
            yield place, dict(zip(names, cells if header else cells * 2, strict=True))
    if not names:
        raise UserError(f"{path}: the file is empty: give one with rows")


def _cells(path: str, layout: str) -> Iterator[tuple[int, list[str]]]:
    """Line numbers and fields of the lines that are not empty."""
    with open_text(path) as stream:
        if layout == "tsv":  # quotes are text, as in GLUE
            for line, text in enumerate(stream, start=1):
                if text.rstrip("\r\n"):
                    yield line, text.rstrip("\r\n").split("\t")
            return
        reader, line = csv.reader(stream, strict=True), 1  # RFC 4180
        try:
            for cells in reader:
                if cells:
                    yield line, cells
                line = reader.line_num + 1
        except csv.Error as error:
            raise UserError(
                f"{path}:{line}: not CSV from here on ({error}): double the quotes inside quoted "
                "fields, or set data.layout=tsv for tabs and literal quotes"
            ) from None


def _numbers(width: int) -> list[str]:
    """Names of columns without a header: 1 to n, then -n to -1."""
    return [str(i) for i in (*range(1, width + 1), *range(-width, 0))]


def _check_columns(path: str, columns: Sequence[str], names: Sequence[str], header: bool) -> None:
    for column in columns:
        if column not in names and header:
            raise UserError(
                f"{path}:1: the header has no column {column!r}: {nearest(column, names)} (if line "
                "1 is no header, set data.header=false and name columns by number)"
            )
        if column not in names:
            raise UserError(
                f"{path}:1: no column {column!r} in {len(names) // 2} fields: without a header "
                f"use 1 to {len(names) // 2}, or -1 for the last"
            )
        if names.count(column) > 1:
            raise UserError(
                f"{path}:1: the header has {column!r} {names.count(column)} times: rename all but "
                "one"
            )


def _jsonl(path: str) -> Iterator[Record]:
    empty = True
    with open_text(path) as stream:
        for line, text in enumerate(stream, start=1):
            if not text.strip():
                continue
            empty, place = False, f"{path}:{line}"
            try:
                fields = json.loads(text)
            except (ValueError, RecursionError) as error:
                yield place, f"not JSON ({error})"
                continue
            yield place, fields if isinstance(fields, dict) else "not a JSON object"
    if empty:
        raise UserError(f"{path}: the file is empty: give one with rows")


def _parquet(path: str, columns: Sequence[str]) -> Iterator[Record]:
    import pyarrow
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(path, page_checksum_verification=True)
        names = file.schema_arrow.names
        roots = [_root(path, column, names) for column in columns]
        wanted = dict.fromkeys([*roots, *(name for name in ID_FIELDS if name in names)])
        row = 0
        for batch in file.iter_batches(4096, columns=list(wanted)):
            for fields in batch.to_pylist():
                row += 1
                yield f"{path}:{row}", fields
    except (OSError, pyarrow.ArrowException) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path}: cannot be read ({reason}): check the file") from None


def _root(path: str, column: str, names: Sequence[str]) -> str:
    """The top-level column that holds `column`, whose name may be dotted."""
    for name in (column, column.split(".")[0]):
        if name in names:
            return name
    raise UserError(f"{path}: no column {column!r}: {nearest(column, names)}")


def _tfds(path: str, columns: Sequence[str]) -> Iterator[Record]:
    """Examples of `tfds:NAME[:SPLIT]`; a class becomes its name, or None where it has none."""
    opened = open_tfds(path.removeprefix("tfds:"))
    source, features = opened.data_source, opened.features
    roots = {_root(path, column, list(features)) for column in columns}
    roots |= {name for name in ID_FIELDS if name in features}
    for row in range(len(source)):
        place = f"{path}:{row + 1}"
        try:
            example = source[row]
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            raise UserError(
                f"{place}: cannot be read ({reason}): the data set is damaged; make it again"
            ) from None
        yield place, {name: _named(features[name], example[name]) for name in roots}


def _named(feature: Any, value: Any) -> Any:
    """The value of a feature with class ids as names, in nested features and lists too."""
    if isinstance(value, dict):
        return {name: _named(feature[name], inner) for name, inner in value.items()}
    if np.ndim(value):
        return [_named(getattr(feature, "feature", feature), inner) for inner in value]
    if hasattr(feature, "int2str"):
        return feature.int2str(int(value)) if value >= 0 else None
    return value
