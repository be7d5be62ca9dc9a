"""Documents from every layout that holds text, streamed in bounded memory.

A source of text or JSON Lines finds the end of a document about every megabyte, in whatever bytes
it holds, and yields the chunks between; turning chunks into text (`bertjax.text.chunks`) can then
be shared between processes. Where chunks are cut depends on the bytes alone, never on who reads
them. Other layouts are read row by row, a document each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bertjax.errors import UserError, nearest
from bertjax.text.account import NAMED_BY, Account, MissingColumn, Problem
from bertjax.text.arrow import check_text_column
from bertjax.text.chunks import (
    CHUNK_BYTES,
    MAX_DOCUMENT_BYTES,
    SEPARATORS,
    SKIP_HINT,
    Chunk,
    check_lengths,
    document_text,
)
from bertjax.text.delimited import Form
from bertjax.text.inputs import find_inputs
from bertjax.text.layouts import NAMES, Input
from bertjax.text.records import read_records
from bertjax.text.stored import DamagedFile, Stored, local, open_stored
from bertjax.text.tfds import open_tfds


@dataclass(frozen=True)
class FileSource:
    """A text or JSON Lines file, compressed or not."""

    name: str
    stored_bytes: int  # size on disk, for progress
    layout: str
    field: str

    def chunks(self, account: Account | None = None) -> Iterator[Chunk]:
        """Yield chunks that end where a document ends.

        Raises `UserError` where the file is damaged or a document does not end, unless `account`
        may leave that out.
        """
        account = account or Account(hint=SKIP_HINT)
        try:
            with open_stored(self.name) as stored:
                yield from self._cut(stored, account)
        except DamagedFile as error:
            account.leave(self.name, Problem("damaged file", _without_name(error, self.name)))

    def is_plain(self) -> bool:
        """Whether the chunks are stretches of the file as it is stored."""
        try:
            with open_stored(self.name) as stored:
                return stored.is_plain
        except DamagedFile:
            return False

    def _cut(self, stored: Stored, account: Account) -> Iterator[Chunk]:
        separator = SEPARATORS[self.layout]
        buffer, searched = bytearray(), 0
        offset, line, taken = stored.offset, 1, 0
        endless = False  # in the middle of a document that is left out

        def chunk(end: int) -> Chunk:
            nonlocal offset, line, taken
            payload, position = bytes(buffer[:end]), stored.raw.tell()
            del buffer[:end]
            made = Chunk(
                self.name, self.layout, payload, offset, line, self.field, position - taken
            )
            offset, line, taken = offset + end, line + payload.count(b"\n"), position
            return made

        for block in stored.blocks(CHUNK_BYTES):
            buffer += block
            if endless and (found := separator.search(buffer)):
                chunk(found.end())
                endless, searched = False, 0
            while not endless and (found := separator.search(buffer, max(CHUNK_BYTES, searched))):
                yield chunk(found.end())
                searched = 0
            # A separator may lie across two blocks; it begins at a line break.
            searched = max(0, buffer.rfind(b"\n"))
            if len(buffer) > CHUNK_BYTES + MAX_DOCUMENT_BYTES:
                if not endless:
                    *_, whole = (0, *(m.end() for m in separator.finditer(buffer)))
                    if whole:
                        yield chunk(whole)
                    place = (bytes(buffer), offset, line)
                    self._leave_endless(
                        Chunk(self.name, self.layout, *place, self.field, 0), account
                    )
                    searched = max(0, searched - whole)
                chunk(searched or len(buffer))
                endless, searched = True, 0
        if buffer and not endless:
            yield chunk(len(buffer))

    def _leave_endless(self, chunk: Chunk, account: Account) -> None:
        """Account for the text in which no document ended."""
        try:
            check_lengths(chunk)
        except Problem as problem:
            account.leave(self.name, problem)


@dataclass(frozen=True)
class RecordSource:
    """One field of the rows of a table, a JSON file or a data set; a row is a document."""

    name: str
    stored_bytes: int
    layout: str
    field: str

    def chunks(self, account: Account | None = None) -> Iterator[Chunk]:
        """Yield chunks of rows.

        Raises `UserError` for a file that is damaged and a row without text, unless `account` may
        leave that out, and for a file that has no such field.
        """
        account = account or Account(hint=SKIP_HINT)
        try:
            yield from self._chunks(account)
        except DamagedFile as error:
            account.leave(self.name, Problem("damaged file", _without_name(error, self.name)))
        except MissingColumn as error:
            raise UserError(
                f"{error.place}: no column {error.column!r}: name the one with the text, "
                f"{NAMED_BY}; {nearest(error.column, error.names)}"
            ) from None

    def _chunks(self, account: Account) -> Iterator[Chunk]:
        source = Input(self.name, self.layout)
        records = read_records(source, (self.field,), Form(settable=False), account)
        if records.schema is not None:
            check_text_column(self.name, records.schema, self.field)
        batch: list[str] = []
        first, size, left = 0, 0, self.stored_bytes

        def chunk(row: int, share: int) -> Chunk:
            nonlocal batch, first, size, left
            made = Chunk(self.name, "strings", batch, first, first + 1, self.field, share)
            batch, first, size, left = [], row + 1, 0, left - share
            return made

        row = -1
        for row, (place, fields) in enumerate(records.rows):
            try:
                if isinstance(fields, Problem):
                    raise fields
                batch.append(document_text(fields, self.field))
            except Problem as problem:
                account.leave(place, problem)
                continue
            size += len(batch[-1])
            if size >= CHUNK_BYTES:
                share = self.stored_bytes * len(batch) // records.count if records.count else size
                yield chunk(row, min(share, left))
        if batch:
            yield chunk(row, left)


Source = FileSource | RecordSource


def find_sources(
    inputs: Iterable[str],
    field: str = "text",
    one_document_per_line: bool = False,
    account: Account | None = None,
) -> list[Source]:
    """Resolve files, directories, data sets and pipes (`bertjax.text.inputs`) to sources.

    Raises `UserError` for what is missing, unreadable, or empty and may not be left out, and where
    nothing is left.
    """
    account = account or Account(hint=SKIP_HINT)
    text = "lines" if one_document_per_line else "paragraphs"
    sources: list[Source] = []
    for name in inputs:
        for source in find_inputs(name, field, account):
            size = _stored_bytes(source)
            if size == 0:
                problem = Problem("empty file", "the file is empty (0 bytes): leave it out")
                account.leave(source.name, problem)
                continue
            account.read[NAMES[source.layout or "text"]] += 1
            if source.layout in ("", "text"):
                sources.append(FileSource(source.name, size, text, field))
            elif source.layout == "jsonl":
                sources.append(FileSource(source.name, size, "jsonl", field))
            elif source.layout in ("conll", "conllu"):
                raise UserError(
                    f"{source.name}: a file of tagged words, not of text: give its text as .txt"
                )
            else:
                sources.append(RecordSource(source.name, size, source.layout, field))
    if not sources and account.left:
        raise without_text(sources, account)
    return sources


def without_text(sources: Sequence[Source], account: Account) -> UserError:
    """What to raise where no document is left of an input."""
    if account.left:
        kinds = ", ".join(f"{number:,} {kind}" for kind, number in account.left.most_common())
        return UserError(f"nothing is left of the text: {kinds}, the first: {account.first}")
    names = ", ".join(source.name for source in sources[:3])
    size = sum(source.stored_bytes for source in sources)
    return UserError(f"{names}: no document with text in {size:,} bytes: give files with text")


def _stored_bytes(source: Input) -> int:
    if source.layout == "tfds":
        return max(1, open_tfds(source.name.removeprefix("tfds:")).num_bytes)
    path = local(source.name)
    if path.is_dir():
        return sum(file.stat().st_size for file in Path(path).iterdir())
    return path.stat().st_size


def _without_name(error: UserError, name: str) -> str:
    return str(error).removeprefix(f"{name}: ")
