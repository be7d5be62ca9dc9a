"""Documents from text files, JSON Lines, Parquet and TFDS, streamed in bounded memory.

A source finds the end of a document about every megabyte, in whatever bytes it holds, and yields
the chunks between; turning chunks into text (`bertjax.text.chunks`) can then be shared between
processes. Where chunks are cut depends on the bytes alone, never on who reads them.
"""

from __future__ import annotations

import gzip
import lzma
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from bertjax.errors import UserError, nearest
from bertjax.text.chunks import (
    CHUNK_BYTES,
    MAX_DOCUMENT_BYTES,
    SEPARATORS,
    Chunk,
    check_lengths,
)
from bertjax.text.tfds import open_tfds

COMPRESSED = (".gz", ".xz", ".zst")


@dataclass(frozen=True)
class FileSource:
    """A text or JSON Lines file, compressed or not."""

    name: str
    stored_bytes: int  # size on disk, for progress
    layout: str
    field: str

    def chunks(self) -> Iterator[Chunk]:
        """Yield chunks that end where a document ends."""
        separator = SEPARATORS[self.layout]
        buffer, searched = bytearray(), 0
        offset, line, stored = 0, 1, 0

        def chunk(end: int) -> Chunk:
            nonlocal offset, line, stored
            payload, position = bytes(buffer[:end]), raw.tell()
            del buffer[:end]
            made = Chunk(
                self.name, self.layout, payload, offset, line, self.field, position - stored
            )
            offset, line, stored = offset + end, line + payload.count(b"\n"), position
            return made

        with _readable(self.name), open(self.name, "rb") as raw:
            stream = _decompressed(raw, Path(self.name).suffix)
            while block := stream.read(CHUNK_BYTES):
                buffer += block
                while found := separator.search(buffer, max(CHUNK_BYTES, searched)):
                    yield chunk(found.end())
                    searched = 0
                # A separator may lie across two blocks; it begins at a line break.
                searched = buffer.rfind(b"\n")
                if len(buffer) > CHUNK_BYTES + MAX_DOCUMENT_BYTES:
                    check_lengths(chunk(len(buffer)))  # raises: no document ended in all that
            if buffer:
                yield chunk(len(buffer))


def _decompressed(raw: BinaryIO, suffix: str) -> Any:
    if suffix == ".gz":
        return gzip.GzipFile(fileobj=raw)
    if suffix == ".xz":
        return lzma.LZMAFile(raw)
    if suffix == ".zst":
        import pyarrow

        # Unlike the zstandard package, this notices a truncated frame and reads every frame.
        return pyarrow.CompressedInputStream(pyarrow.PythonFile(raw, mode="r"), "zstd")
    return raw


@contextmanager
def _readable(name: str) -> Iterator[None]:
    """Turn what a reader raises on a damaged or forbidden file into one line about it."""
    try:
        yield
    except PermissionError as error:
        raise UserError(f"{name}: not readable ({error.strerror}): check its permissions") from None
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise UserError(
            f"{name}: cannot be read to its end ({error}): the file is damaged or cut short; "
            "fetch it again"
        ) from None


@dataclass(frozen=True)
class ParquetSource:
    """One string column of a Parquet file; a row is a document."""

    name: str
    stored_bytes: int
    field: str

    def chunks(self) -> Iterator[Chunk]:
        """Yield chunks of rows."""
        import pyarrow
        from pyarrow import parquet

        with _readable(self.name):
            try:
                # One page at a time, whatever the size of the row groups.
                file = parquet.ParquetFile(
                    self.name,
                    buffer_size=CHUNK_BYTES,
                    pre_buffer=False,
                    page_checksum_verification=True,
                )
                self._check_column(file.schema_arrow)
                batches = file.iter_batches(64, columns=[self.field], use_threads=False)
                texts = (text for batch in batches for text in batch.column(0).to_pylist())
                yield from _chunks_of_strings(self, texts, file.metadata.num_rows)
            except pyarrow.ArrowException as error:
                raise OSError(str(error).splitlines()[0]) from None

    def _check_column(self, schema: Any) -> None:
        if self.field not in schema.names:
            raise UserError(
                f"{self.name}: no column {self.field!r}: set --text-field; "
                f"{nearest(self.field, schema.names)}"
            )
        kind = str(schema.field(self.field).type)
        if "string" not in kind:
            raise UserError(
                f"{self.name}: column {self.field!r} holds {kind}, not strings: set --text-field "
                "to a column of text"
            )


@dataclass(frozen=True)
class TfdsSource:
    """One text feature of a TFDS split that is stored where random access works."""

    name: str
    stored_bytes: int
    field: str
    data_source: Any

    def chunks(self) -> Iterator[Chunk]:
        """Yield chunks of examples."""
        rows = len(self.data_source)

        def texts() -> Iterator[str]:
            for start in range(0, rows, 64):
                batch = range(start, min(start + 64, rows))
                try:
                    examples = self.data_source.__getitems__(list(batch))
                except RuntimeError as error:
                    raise UserError(
                        f"{self.name}: examples {batch.start} to {batch.stop - 1} cannot be read "
                        f"({str(error).splitlines()[0]}): the data set is damaged; make it again"
                    ) from None
                for row, example in zip(batch, examples, strict=True):
                    yield self._text(row, example[self.field])

        yield from _chunks_of_strings(self, texts(), rows)

    def _text(self, row: int, value: Any) -> str:
        try:
            return value.decode() if isinstance(value, bytes) else str(value)
        except UnicodeDecodeError as error:
            raise UserError(
                f"{self.name}: example {row}: byte {error.start} of {self.field!r} is not UTF-8: "
                "store the text as UTF-8"
            ) from None


def _tfds_source(spec: str, field: str) -> TfdsSource:
    opened = open_tfds(spec)
    if field not in opened.features:
        raise UserError(
            f"{opened.name}: no feature {field!r}: set --text-field; "
            f"{nearest(field, opened.features)}"
        )
    return TfdsSource(opened.name, opened.num_bytes, field, opened.data_source)


def _chunks_of_strings(
    source: ParquetSource | TfdsSource, texts: Iterable[str | None], rows: int
) -> Iterator[Chunk]:
    """Collect strings to about a chunk; `rows` is how many there are, for progress."""
    batch: list[str] = []
    first, size = 0, 0

    def chunk() -> Chunk:
        share = source.stored_bytes * len(batch) // max(rows, 1)
        return Chunk(source.name, "strings", batch, first, first + 1, source.field, share)

    for row, text in enumerate(texts):
        if text is None:
            raise UserError(
                f"{source.name}: row {row} has no {source.field!r} (null): drop such rows"
            )
        batch.append(text)
        size += len(text)
        if size >= CHUNK_BYTES:
            yield chunk()
            batch, first, size = [], row + 1, 0
    if batch:
        yield chunk()


Source = FileSource | ParquetSource | TfdsSource


def find_sources(
    inputs: Iterable[str], field: str = "text", one_document_per_line: bool = False
) -> list[Source]:
    """Resolve files, directories (recursive, sorted) and `tfds:NAME[:SPLIT]` to sources.

    A directory contributes the files whose suffix is known; a TFDS directory its `train` split.
    Raises `UserError` for what is missing, empty or unreadable.
    """
    layout = "lines" if one_document_per_line else "paragraphs"
    sources: list[Source] = []
    for name in inputs:
        path = Path(name)
        if name.startswith("tfds:"):
            sources.append(_tfds_source(name.removeprefix("tfds:"), field))
        elif (path / "dataset_info.json").is_file():
            sources.append(_tfds_source(name, field))
        elif path.is_dir():
            sources += [_file_source(p, layout, field) for p in _text_files(path)]
        elif path.is_file():
            sources.append(_file_source(path, layout, field))
        else:
            raise UserError(f"{name}: no such file or directory: check the path")
    return sources


def _text_files(directory: Path) -> list[Path]:
    files = []
    for path in sorted(directory.rglob("*"), key=lambda p: p.parts):
        hidden = any(part.startswith(".") for part in path.relative_to(directory).parts)
        if path.is_file() and not hidden and _suffix(path) in (".txt", ".jsonl", ".parquet"):
            files.append(path)
    if not files:
        raise UserError(
            f"{directory}: no .txt, .jsonl or .parquet file in this directory (.gz, .xz and .zst "
            "too): name files of another suffix one by one"
        )
    return files


def _file_source(path: Path, layout: str, field: str) -> Source:
    size = path.stat().st_size
    if size == 0:
        raise UserError(f"{path}: the file is empty (0 bytes): give a file with text, or leave it")
    if _suffix(path) == ".parquet":
        return ParquetSource(str(path), size, field)
    return FileSource(str(path), size, "jsonl" if _suffix(path) == ".jsonl" else layout, field)


def _suffix(path: Path) -> str:
    """Return the suffix of what is compressed: `.txt` of `a.txt.gz`."""
    return Path(path.stem).suffix if path.suffix in COMPRESSED else path.suffix
