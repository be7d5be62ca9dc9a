"""Chunks of an input and the documents in them; the checks that stop at the first wrong byte."""

from __future__ import annotations

import codecs
import json
import re
from dataclasses import dataclass

from bertjax.errors import UserError, nearest

CHUNK_BYTES = 1 << 20  # chunks end at the first document that ends beyond this
MAX_LINE_BYTES = 10_000_000  # text files: a longer line is no prose
MAX_DOCUMENT_BYTES = 16_000_000  # bounds the memory of the process that tokenizes it


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


def documents(chunk: Chunk) -> list[str]:
    """Decode a chunk into documents: stripped lines joined by line feeds, no blank lines.

    Documents with no text at all are left out. Raises `UserError` naming the file and place of
    the first byte or line that cannot be right.
    """
    check_lengths(chunk)
    if isinstance(chunk.payload, list):
        texts = chunk.payload
    else:
        text = _decode(chunk, chunk.payload)
        if chunk.layout == "jsonl":
            texts = _json_fields(chunk, text)
        else:
            texts = text.split("\n") if chunk.layout == "lines" else _BLANK_LINE.split(text)
    cleaned = ("\n".join(filter(None, map(str.strip, text.split("\n")))) for text in texts)
    return [text for text in cleaned if text]


def _check_document(text: str, place: str) -> None:
    size = len(text) if len(text) * 4 <= MAX_DOCUMENT_BYTES else len(text.encode(errors="replace"))
    if size > MAX_DOCUMENT_BYTES:
        raise UserError(
            f"{place}: a document of {size} bytes is over the limit of {MAX_DOCUMENT_BYTES}: "
            "split it into several"
        )


def check_lengths(chunk: Chunk) -> None:
    """Refuse lines and documents that are too long, before anything is made of them."""
    payload = chunk.payload
    if isinstance(payload, list):
        for row, text in enumerate(payload, chunk.offset):
            _check_document(text, f"{chunk.source}: row {row}")
        return
    if chunk.layout != "jsonl" and len(payload) > MAX_LINE_BYTES:
        for number, line in enumerate(payload.split(b"\n"), chunk.line):
            if len(line) > MAX_LINE_BYTES:
                raise UserError(
                    f"{chunk.source}: line {number} has {len(line)} bytes or more, the limit is "
                    f"{MAX_LINE_BYTES}: put a line break after each sentence or paragraph"
                )
    if len(payload) > MAX_DOCUMENT_BYTES:
        line_number = chunk.line
        for stored in SEPARATORS[chunk.layout].split(payload):
            if len(stored) > MAX_DOCUMENT_BYTES:
                raise UserError(
                    f"{chunk.source}: the document at line {line_number} has {len(stored)} bytes "
                    f"or more, the limit is {MAX_DOCUMENT_BYTES}: split it into several"
                )
            line_number += stored.count(b"\n") + (2 if chunk.layout == "paragraphs" else 1)


def _decode(chunk: Chunk, payload: bytes) -> str:
    if chunk.offset == 0:
        if payload.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise UserError(
                f"{chunk.source}: byte 0 begins UTF-16, not UTF-8: convert it, "
                "for example with iconv -f UTF-16 -t UTF-8"
            )
        payload = payload.removeprefix(codecs.BOM_UTF8)
    place = chunk.offset + (len(chunk.payload) - len(payload))
    nul = payload.find(b"\0")
    if nul >= 0:
        raise UserError(
            f"{chunk.source}: byte {place + nul} is 0, so this is a binary file and not text: "
            "leave it out, or give its text"
        )
    try:
        return payload.decode()
    except UnicodeDecodeError as error:
        line = chunk.line + payload.count(b"\n", 0, error.start)
        raise UserError(
            f"{chunk.source}: byte {place + error.start} (line {line}) is "
            f"0x{payload[error.start]:02x}, which is not UTF-8: convert the file, for example "
            "with iconv -f LATIN1 -t UTF-8"
        ) from None


def _json_fields(chunk: Chunk, text: str) -> list[str]:
    texts = []
    for number, line in enumerate(text.split("\n"), chunk.line):
        if not line.strip():
            continue
        place = f"{chunk.source}: line {number}"
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UserError(
                f"{place}: not JSON ({error}): write one JSON object per line"
            ) from None
        if not isinstance(record, dict):
            raise UserError(f"{place}: a JSON {type(record).__name__}, not an object with the text")
        value = record.get(chunk.field)
        if not isinstance(value, str):
            if chunk.field in record:
                raise UserError(
                    f"{place}: field {chunk.field!r} holds {value!r:.40}, not a string: correct "
                    "it, or set --text-field to the field that holds the text"
                )
            raise UserError(
                f"{place}: field {chunk.field!r} is missing: set --text-field to the field that "
                f"holds the text; {nearest(chunk.field, record)}"
            )
        # JSON can spell half a surrogate pair, which no encoder takes.
        texts.append(value.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    return texts
