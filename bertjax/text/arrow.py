"""Parquet, Arrow files and directories of `datasets.save_to_disk`, read by pyarrow."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bertjax.errors import UserError
from bertjax.text.account import NAMED_BY, MissingColumn, check_once
from bertjax.text.stored import check_growth, local, readable

_ROWS = 64  # read at once; with a buffer of one page, whatever the size of row groups
_BUFFER = 1 << 20
_ROW_BYTES = 128  # that a row counts at least, as rows of nothing can be any number in no bytes


@dataclass(frozen=True)
class ArrowTable:
    """A table whose rows are read as they are asked for."""

    name: str
    schema: Any  # pyarrow.Schema
    rows: int
    stored_bytes: int
    batches: Callable[[list[str]], Iterator[Any]]  # pyarrow.RecordBatch, of these columns

    def features(self) -> dict[str, Any]:
        """What `datasets` notes about the columns; empty for a table of anyone else."""
        stored = (self.schema.metadata or {}).get(b"huggingface")
        try:
            found = json.loads(stored)["info"]["features"] if stored else {}
        except (ValueError, KeyError, TypeError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    def dicts(self, columns: list[str]) -> Iterator[dict[str, Any]]:
        """The rows as dicts of these columns, classes as their names."""
        with _arrow_errors(self.name):
            features = self.features().items()
            classes = {n: f for n, f in features if n in columns and _has_classes(f)}
            unpacked = 0
            for batch in self.batches(columns):
                unpacked += _bytes_of(batch)
                check_growth(self.name, self.stored_bytes, unpacked)
                for row in _rows_of(batch):
                    yield row | {n: named(f, row[n]) for n, f in classes.items()}

    def root(self, column: str) -> str:
        """The column that holds `column`, whose name may be dotted.

        Raises UserError if none does, or several have its name or one of a field in it.
        """
        with _arrow_errors(self.name):
            names = self.schema.names
        for name in (column, column.split(".")[0]):
            if name in names:
                check_once(self.name, name, names)
                _check_fields(self.name, name, self.schema.field(name).type)
                return name
        raise MissingColumn(self.name, column, names)


def open_parquet(name: str) -> ArrowTable:
    """Open a Parquet file; UserError if it is none."""
    from pyarrow import parquet

    with _arrow_errors(name):
        file = parquet.ParquetFile(
            local(name), buffer_size=_BUFFER, pre_buffer=False, page_checksum_verification=True
        )
    return ArrowTable(
        name,
        file.schema_arrow,
        file.metadata.num_rows,
        local(name).stat().st_size,
        lambda columns: file.iter_batches(_ROWS, columns=columns, use_threads=False),
    )


def open_arrow(name: str) -> ArrowTable:
    """Open an Arrow file of either kind, stream or random access; UserError if it is none."""
    return _of_files(name, [local(name)])


def open_saved(directory: str) -> ArrowTable:
    """Open a directory of `datasets.save_to_disk`.

    Raises:
        UserError: it holds several splits, a selection of rows, or files that are no Arrow.
    """
    path = Path(directory)
    if splits := saved_splits(path):
        raise UserError(
            f"{directory}: a saved data set with the splits {', '.join(splits)}: name one, such as "
            f"{path / splits[0]}"
        )
    try:
        state = json.loads((path / "state.json").read_text(encoding="utf-8"))
        files = [path / os.fsencode(item["filename"]).decode() for item in state["_data_files"]]
        if not files:
            raise ValueError
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise UserError(
            f"{directory}: state.json names no Arrow files: save the data set again with "
            "save_to_disk, or as Parquet with to_parquet"
        ) from None
    if state.get("_indices_data_files"):
        raise UserError(
            f"{directory}: a selection of rows of a saved data set: call flatten_indices() and "
            "save_to_disk again, or save it as Parquet with to_parquet"
        )
    return _of_files(directory, files)


def is_saved(path: Path) -> bool:
    """Whether `path` is a directory of `datasets.save_to_disk`, of one split or of several."""
    return (path / "state.json").is_file() or bool(saved_splits(path))


def saved_splits(path: Path) -> list[str]:
    """The splits of a saved `DatasetDict`; none for any other directory."""
    try:
        content = json.loads((path / "dataset_dict.json").read_text(encoding="utf-8"))
        return [str(split) for split in content["splits"]]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return []


def named(feature: Any, value: Any) -> Any:
    """A value of `datasets` with class numbers as names, in lists and structs too.

    -1, and any number that has no name, is None: no class is given. What a feature says of another
    kind of value than is there says nothing.
    """
    if isinstance(feature, list) and feature and isinstance(value, list):  # an older way to write
        return [named(feature[0], item) for item in value]
    if not isinstance(feature, dict):
        return value
    if feature.get("_type") == "ClassLabel":
        names = _class_names(feature)
        return names[value] if isinstance(value, int) and 0 <= value < len(names) else None
    if "feature" in feature and feature.get("_type") in ("Sequence", "List", "LargeList"):
        inner = feature["feature"]
        if isinstance(value, dict) and isinstance(inner, dict):  # a struct of lists
            return {n: named([inner.get(n)], items) for n, items in value.items()}
        return named([inner], value)
    if isinstance(value, dict):
        return {n: named(feature.get(n), inner) for n, inner in value.items()}
    return value


def classes_of(features: dict[str, Any], column: str) -> tuple[str, ...]:
    """The names of a column's classes, in order of their numbers; empty if it has none."""
    feature: Any = features.get(column)
    for _ in range(3):  # a list of classes, however it is written
        if isinstance(feature, list) and feature:
            feature = feature[0]
        elif isinstance(feature, dict) and "feature" in feature:
            feature = feature["feature"]
    if isinstance(feature, dict) and feature.get("_type") == "ClassLabel":
        return _class_names(feature)
    return ()


def _class_names(feature: dict[str, Any]) -> tuple[str, ...]:
    names = feature.get("names")
    return tuple(map(str, names)) if isinstance(names, list) else ()


def check_text_column(name: str, schema: Any, column: str) -> None:
    """Raise UserError for a column whose type can hold no text."""
    from pyarrow import types

    if column not in schema.names:
        return  # a field of a struct, which is looked at row by row
    kind = schema.field(column).type
    inner = kind.value_type if types.is_dictionary(kind) or _is_list(kind) else kind
    texts = (types.is_string, types.is_large_string, types.is_string_view, types.is_binary)
    if any(is_text(inner) for is_text in (*texts, types.is_large_binary, types.is_null)):
        return
    fields = [field.name for field in inner] if types.is_struct(inner) else []
    example = " such as " + " or ".join(f"{column}.{f}" for f in fields[:2]) if fields else ""
    raise UserError(
        f"{name}: column {column!r} holds {kind}, not strings: name a column of text, "
        f"{NAMED_BY}{example}"
    )


def _is_list(kind: Any) -> bool:
    from pyarrow import types

    return types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)


def _check_fields(place: str, name: str, kind: Any) -> None:
    """Raise UserError for a struct with two fields of one name, which no dict can hold."""
    from pyarrow import types

    if _is_list(kind):
        _check_fields(place, name, kind.value_type)
    elif types.is_struct(kind):
        fields = [f"{name}.{field.name}" for field in kind]
        for inner, field in zip(fields, kind, strict=True):
            check_once(place, inner, fields)
            _check_fields(place, inner, field.type)


def _has_classes(feature: Any) -> bool:
    if isinstance(feature, list):
        return any(map(_has_classes, feature))
    if not isinstance(feature, dict):
        return False
    return feature.get("_type") == "ClassLabel" or any(map(_has_classes, feature.values()))


def _of_files(name: str, files: Sequence[Path]) -> ArrowTable:
    with _arrow_errors(name):
        readers = [_reader(file) for file in files]
        schema = readers[0].schema

    def batches(columns: list[str]) -> Iterator[Any]:
        for file in files:
            for batch in _batches(_reader(file)):
                for start in range(0, batch.num_rows, _ROWS):
                    yield batch.slice(start, _ROWS).select(columns)

    with _arrow_errors(name):
        rows = sum(batch.num_rows for file in files for batch in _batches(_reader(file)))
    stored_bytes = sum(file.stat().st_size for file in files)
    return ArrowTable(name, schema, rows, stored_bytes, batches)


def _reader(file: Path) -> Any:
    import pyarrow
    from pyarrow import ipc

    mapped = pyarrow.memory_map(str(file))
    random_access = mapped.read(6) == b"ARROW1"
    mapped.seek(0)
    return ipc.open_file(mapped) if random_access else ipc.open_stream(mapped)


def _bytes_of(batch: Any) -> int:
    """About what the rows of a batch take, where a dictionary's values count at each use."""
    import pyarrow

    columns = (
        column.dictionary_decode() if isinstance(column, pyarrow.DictionaryArray) else column
        for column in batch.columns
    )
    return sum(column.nbytes for column in columns) + _ROW_BYTES * batch.num_rows


def _rows_of(batch: Any) -> list[dict[str, Any]]:
    """The rows of a batch; a text that is not UTF-8 is bytes, which whoever wants text refuses."""
    import pyarrow

    try:
        return batch.to_pylist()
    except UnicodeDecodeError:
        texts = [
            n for n in batch.schema.names if pyarrow.types.is_string(batch.schema.field(n).type)
        ]
        for name in texts:
            at = batch.schema.get_field_index(name)
            batch = batch.set_column(at, name, batch.column(at).cast(pyarrow.binary()))
        return [
            row | {name: _text_if_it_is(row[name]) for name in texts} for row in batch.to_pylist()
        ]


def _text_if_it_is(value: bytes | None) -> str | bytes | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return value


def _batches(reader: Any) -> Iterator[Any]:
    """The batches of a file, each looked at whole: lengths that lie would lead out of memory."""
    count = getattr(reader, "num_record_batches", None)
    for batch in reader if count is None else map(reader.get_batch, range(count)):
        batch.validate(full=True)
        yield batch


@contextmanager
def _arrow_errors(name: str) -> Iterator[None]:
    import pyarrow

    with readable(name):
        try:
            yield
        except (pyarrow.ArrowException, UnicodeError, OverflowError, RecursionError) as error:
            raise OSError(str(error).splitlines()[0]) from None
