"""Chunks of an input and the documents in them; the checks that stop at the first wrong byte."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from bertjax.errors import nearest
from bertjax.text.account import NAMED_BY, Account, Problem
from bertjax.text.json_rows import parse_line
from bertjax.text.records import reach
from bertjax.text.stored import AS_UTF8, WIDE, is_wide, note_lone_returns, unmarked

CHUNK_BYTES = 1 << 20  # chunks end at the first document that ends beyond this
MAX_LINE_BYTES = 10_000_000  # text files: a longer line is no prose
MAX_DOCUMENT_BYTES = 16_000_000  # bounds the memory of the process that tokenizes it
SKIP_HINT = "; or leave such documents out with --skip-bad"

# What ends a document, in bytes, so that chunks can be cut before anything is decoded.
SEPARATORS = {
    "paragraphs": re.compile(rb"\n[ \t\r]*\n"),
    "lines": re.compile(rb"\n"),
    "jsonl": re.compile(rb"\n"),
}
_BLANK_LINE = re.compile(r"\n\s*\n")


@dataclass(frozen=True)
class Chunk:
    """Whole documents, still as they were stored."""

    source: str  # name for messages
    layout: str  # paragraphs: blank line between documents | lines | jsonl | strings
    payload: bytes | list[str]  # list: layout strings
    offset: int  # of the payload in the decompressed file, in bytes; strings: in rows
    line: int  # number of the payload's first line
    field: str  # jsonl: the field that holds the text
    stored_bytes: int  # how far this chunk moves the reader in the file as stored

    @property
    def size(self) -> int:
        """Bytes of the payload, or characters of strings."""
        if isinstance(self.payload, bytes):
            return len(self.payload)
        return sum(map(len, self.payload))


def documents(chunk: Chunk, account: Account | None = None) -> list[str]:
    """Decode a chunk into documents: stripped lines joined by line feeds, no blank lines.

    Documents with no text at all are left out. Raises `UserError` naming the file and place of
    the first byte or line that cannot be right, unless `account` may leave its document out.
    """
    account = account or Account(hint=SKIP_HINT)
    texts = _texts(chunk, account)
    cleaned = ("\n".join(filter(None, map(str.strip, text.split("\n")))) for text in texts)
    kept = [text for text in cleaned if text]
    if len(kept) < len(texts) and chunk.layout in ("jsonl", "strings"):
        account.aside["blank documents"] += len(texts) - len(kept)
    return kept


def _texts(chunk: Chunk, account: Account) -> list[str]:
    if isinstance(chunk.payload, list):
        return list(_bounded(chunk, chunk.payload, account))
    try:
        text = _decoded(chunk)
    except Problem:
        pass  # of one of the documents, which are looked at one by one
    else:
        return _split(chunk, text, account)
    kept = []
    for document in _apart(chunk):
        try:
            kept += _split(document, _decoded(document), account)
        except Problem as problem:
            account.leave(chunk.source, problem)
    return kept


def _bounded(chunk: Chunk, texts: list[str], account: Account) -> Iterator[str]:
    for row, text in enumerate(texts, chunk.offset):
        size = len(text)
        if size * 4 > MAX_DOCUMENT_BYTES:
            size = len(text.encode(errors="replace"))
        if size <= MAX_DOCUMENT_BYTES:
            yield text
            continue
        said = f"a document of {size} bytes is over the limit of {MAX_DOCUMENT_BYTES}"
        problem = Problem("too long", f"{said}: split it into several")
        account.leave(f"{chunk.source}: row {row}", problem)


def _apart(chunk: Chunk) -> Iterator[Chunk]:
    """A chunk a document, blank ones aside."""
    payload, line = bytes(chunk.payload), chunk.line  # type: ignore[arg-type]
    start = 0
    while start < len(payload):
        found = SEPARATORS[chunk.layout].search(payload, start)
        end = found.end() if found else len(payload)
        part = payload[start:end]
        if part.strip():  # of a megabyte of line ends there are half a million that are blank
            yield replace(chunk, payload=part, offset=chunk.offset + start, line=line)
        start, line = end, line + part.count(b"\n")


def _split(chunk: Chunk, text: str, account: Account) -> list[str]:
    if chunk.layout == "jsonl":
        return list(_json_texts(chunk, text, account))
    note_lone_returns(chunk.source, text, account)
    return text.split("\n") if chunk.layout == "lines" else _BLANK_LINE.split(text)


def check_lengths(chunk: Chunk) -> None:
    """Raise `Problem` for lines and documents of stored text that are too long."""
    payload = bytes(chunk.payload)  # type: ignore[arg-type]
    if chunk.layout != "jsonl" and len(payload) > MAX_LINE_BYTES:
        for number, line in enumerate(payload.split(b"\n"), chunk.line):
            if len(line) > MAX_LINE_BYTES:
                raise Problem(
                    "too long",
                    f"line {number} has {len(line)} bytes or more, the limit is {MAX_LINE_BYTES}: "
                    "put a line break after each sentence or paragraph",
                )
    if len(payload) > MAX_DOCUMENT_BYTES:
        line_number = chunk.line
        for stored in SEPARATORS[chunk.layout].split(payload):
            if len(stored) > MAX_DOCUMENT_BYTES:
                raise Problem(
                    "too long",
                    f"the document at line {line_number} has {len(stored)} bytes or more, the "
                    f"limit is {MAX_DOCUMENT_BYTES}: split it into several",
                )
            line_number += stored.count(b"\n") + (2 if chunk.layout == "paragraphs" else 1)


def _decoded(chunk: Chunk) -> str:
    check_lengths(chunk)
    payload = bytes(chunk.payload)  # type: ignore[arg-type]
    nul = payload.find(b"\0")
    if nul >= 0 and is_wide(payload):
        raise Problem("UTF-16", WIDE)
    if nul >= 0:
        raise Problem(
            "binary",
            f"byte {chunk.offset + nul} is 0, so this is a binary file and not text: leave it "
            "out, or give its text",
        )
    try:
        return unmarked(payload.decode())
    except UnicodeDecodeError as error:
        line = chunk.line + payload.count(b"\n", 0, error.start)
        raise Problem(
            "not UTF-8",
            f"byte {chunk.offset + error.start} (line {line}) is 0x{payload[error.start]:02x}, "
            f"which is not UTF-8: convert the file, {AS_UTF8}",
        ) from None


def _json_texts(chunk: Chunk, text: str, account: Account) -> Iterator[str]:
    for number, line in enumerate(text.split("\n"), chunk.line):
        if line.strip():
            try:
                yield document_text(_record(line), chunk.field)
            except Problem as problem:
                account.leave(f"{chunk.source}: line {number}", problem)


def _record(line: str) -> Any:
    try:
        return parse_line(line)
    except Problem as problem:
        raise Problem(problem.kind, f"{problem}: write one JSON object per line") from None


def document_text(record: Any, field: str) -> str:
    """The text of a record: its field, or the record itself where it is a text.

    A list of texts is one document, a line each. Raises `Problem` for anything else.
    """
    if isinstance(record, str):
        return _whole_pairs(record)
    if not isinstance(record, dict):
        kind = type(record).__name__
        raise Problem("not an object", f"a JSON {kind}, not an object with the text")
    try:
        value = reach(record, field)
    except Problem:
        raise Problem(
            "no such field",
            f"field {field!r} is missing: name the field that holds the text, {NAMED_BY}; "
            f"{nearest(field, map(str, record))}",
        ) from None
    if isinstance(value, bytes):
        try:
            value = value.decode()
        except UnicodeDecodeError as error:
            raise Problem(
                "not UTF-8", f"byte {error.start} of {field!r} is not UTF-8: store it as UTF-8"
            ) from None
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        value = "\n".join(value)
    if isinstance(value, str):
        return _whole_pairs(value)
    one = value[0] if isinstance(value, list) and value else value
    inner = [f"{field}.{name}" for name in one] if isinstance(one, dict) else []
    kind = "no text" if value is None else "not text"
    shown = "null" if value is None else f"{value!r:.40}"
    raise Problem(
        kind,
        f"field {field!r} holds {shown}, not a string: correct it, or name the field that holds "
        f"the text, {NAMED_BY}" + (f", such as {' or '.join(inner[:2])}" if inner else ""),
    )


def _whole_pairs(text: str) -> str:
    """JSON can spell half a surrogate pair, which no encoder takes."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
