"""The bytes of a file as it is stored: pipes, compression, encodings and line ends.

All that is decided here, for corpora and for labelled files alike: who reads a file gets UTF-8
without a byte order mark at its beginning, whose lines end in a line feed or in a carriage return
and a line feed. A text has no such mark at the beginning of any line (`unmarked`); bytes keep
those, so that their places are those in the file.
"""

from __future__ import annotations

import atexit
import bz2
import codecs
import functools
import gzip
import lzma
import os
import re
import shutil
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Any, BinaryIO

from bertjax.errors import UserError
from bertjax.text.account import Account, Problem
from bertjax.text.archives import archive_errors, only_member

# Suffix -> what packs the file.
COMPRESSED = {
    ".gz": "gz", ".gzip": "gz", ".xz": "xz", ".lzma": "xz", ".zst": "zst", ".zstd": "zst",
    ".bz2": "bz2", ".bz": "bz2", ".zip": "zip",
}  # fmt: skip
_MAGIC = {b"\x1f\x8b": "gz", b"\xfd7zXZ\0": "xz", b"\x28\xb5\x2f\xfd": "zst", b"BZh": "bz2"}
_MAGIC |= {b"PK\x03\x04": "zip"}
_BEGINNINGS = {kind: tuple(m for m, k in _MAGIC.items() if k == kind) for kind in _MAGIC.values()}
_BEGINNINGS["xz"] += (b"\x5d\0\0",)  # of .lzma
_BEGINNINGS["zip"] += (b"PK\x05\x06",)  # of an empty one
# Byte order marks and their encodings; that of UTF-32 begins with that of UTF-16.
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32", codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16", codecs.BOM_UTF8: "",
}  # fmt: skip
_MARK = "\ufeff"  # any of them, decoded
_PEEK = 1 << 16  # bytes by which line ends are told
_LARGEST = 4 << 30  # bytes of a file that is read whole, such as a CSV
# What a packed file may become: text is packed to a hundredth, and what goes far beyond that was
# made to fill a memory. A small one may always become so much.
_MOST_TIMES, _ALWAYS = 256, 16 << 20
_MANY_BAD_LINES = 4  # one line of so many that is not UTF-8: the file is in another encoding
# How a file in another encoding is turned into UTF-8, for messages.
AS_UTF8 = (
    "with iconv -f ENCODING -t UTF-8: GB18030 is usual for Chinese, SHIFT_JIS for Japanese, "
    "WINDOWS-1252 for Western European text"
)
WIDE = (
    "every other byte is 0, as in UTF-16 without a byte order mark: save it as UTF-8, for example "
    "with iconv -f UTF-16LE -t UTF-8"
)
_ESCAPED_BYTE = re.compile("[\udc00\udc80-\udcff]")
_NUL = "\udc00"  # as bytes that are not UTF-8 are escaped
_LONE_RETURN = re.compile(r"\r[^\r\n]")
_HALF_PAIR = re.compile("[\ud800-\udfff]")
_OF_DAMAGE = (OSError, EOFError, lzma.LZMAError, zlib.error, zipfile.BadZipFile)


class DamagedFile(UserError):
    """A file that begins as it should and cannot be read to its end."""


class Stored:
    """An open file, from its beginning."""

    def __init__(self, name: str, raw: BinaryIO):
        self.name, self.raw = name, raw
        self._stream, packed = _unpacked(name, raw)
        head = self._stream.read(_PEEK)
        mark = next((mark for mark in _MARKS if head.startswith(mark)), b"")
        self._encoding = _MARKS.get(mark, "")
        self._head = head if self._encoding else head[len(mark) :]
        text = head.decode(self._encoding, "replace").encode() if self._encoding else head
        self._lone_returns = b"\r" in text and b"\n" not in text
        self.offset = 0 if self._encoding else len(mark)  # of the first byte that is given
        # Whether what is given are the bytes of the file, from `offset` on.
        self.is_plain = not (packed or self._encoding or self._lone_returns)
        self._stored_bytes = os.fstat(raw.fileno()).st_size if packed else 0
        if head[257:262] == b"ustar":
            raise UserError(f"{name}: a tar archive: unpack it and name the files in it")
        if packed and head.startswith(tuple(_MAGIC)):
            raise DamagedFile(f"{name}: compressed twice: unpack it once")

    def blocks(self, size: int) -> Iterator[bytes]:
        """Yield what the file holds, about `size` bytes at a time."""
        decoder = codecs.getincrementaldecoder(self._encoding)() if self._encoding else None
        block, size_so_far = self._head, 0
        while block:
            size_so_far += len(block)
            if self._stored_bytes:
                check_growth(self.name, self._stored_bytes, size_so_far)
            if decoder is not None:
                block = self._transcoded(decoder, block)
            if self._lone_returns:
                block = block.replace(b"\r", b"\n")
            for start in range(0, len(block), size):
                yield block[start : start + size]
            block = self._stream.read(size)
        if decoder is not None:
            yield self._transcoded(decoder, b"", final=True)

    def _transcoded(self, decoder: Any, block: bytes, final: bool = False) -> bytes:
        try:
            return decoder.decode(block, final).encode()
        except UnicodeError as error:
            raise DamagedFile(
                f"{self.name}: begins as {self._encoding.upper()} and is not ({error}): save it as "
                "UTF-8"
            ) from None


def check_growth(name: str, stored_bytes: int, unpacked: int) -> None:
    """Raise `DamagedFile` where a file becomes far more bytes than any text packed into it does."""
    if unpacked > max(_ALWAYS, _MOST_TIMES * stored_bytes):
        raise DamagedFile(
            f"{name}: over {_MOST_TIMES} times its {stored_bytes:,} bytes once it is unpacked, "
            "which is no text: unpack it by hand if it is wanted"
        )


@contextmanager
def open_stored(name: str) -> Iterator[Stored]:
    """Open a file or a pipe; `-` is standard input.

    Raises:
        UserError: it is not there, may not be read, or turns out to be damaged while it is read.
    """
    with readable(name), open(local(name), "rb") as raw:
        yield Stored(name, raw)


@contextmanager
def readable(name: str) -> Iterator[None]:
    """Turn what a reader raises on a missing, damaged or forbidden file into one line about it."""
    try:
        yield
    except FileNotFoundError:
        raise missing(name) from None
    except PermissionError as error:
        raise UserError(f"{name}: not readable ({error.strerror}): check its permissions") from None
    except (*_OF_DAMAGE, MemoryError) as error:  # a damaged header asks for any amount of memory
        raise DamagedFile(
            f"{name}: cannot be read to its end ({error or type(error).__name__}): the file is "
            "damaged or cut short; fetch it again"
        ) from None


def missing(name: str) -> UserError:
    """What to raise where there is no file of that name."""
    if re.match(r"[a-z0-9+]+://", name):
        fix = "nothing is fetched: save it as a file and give its path"
    elif len(parts := re.split(r",\s*", name.strip("[]"))) > 1 and all(
        Path(part.strip("\"'")).exists() for part in parts
    ):
        fix = "of several files name the directory, or a pattern in quotes such as 'part-*.tsv'"
    else:
        fix = "check the path"
    return UserError(f"{name}: no such file or directory: {fix}")


def local(name: str) -> Path:
    """The path of a file; what comes through a pipe is kept in a temporary one until we end."""
    path = Path(name)
    if name != "-" and (not path.exists() or path.is_file() or path.is_dir()):
        return path
    return _kept(name)


@functools.cache
def _kept(name: str) -> Path:
    handle, copy = tempfile.mkstemp(prefix="bertjax-pipe-")
    atexit.register(lambda: Path(copy).unlink(missing_ok=True))
    with open(handle, "wb") as out, _pipe(name) as pipe:
        shutil.copyfileobj(pipe, out, 1 << 20)
    return Path(copy)


def _pipe(name: str) -> BinaryIO:
    return os.fdopen(os.dup(sys.stdin.fileno()), "rb") if name == "-" else open(name, "rb")


def inner_name(name: str) -> str:
    """The name of what is packed: `a.txt` of `a.txt.gz`, the member of an archive of one file."""
    path = PurePath(name)
    packing = COMPRESSED.get(path.suffix.lower())
    if packing == "zip" and Path(name).is_file():
        with readable(name), archive_errors(name), zipfile.ZipFile(name) as archive:
            return only_member(name, archive)
    return path.stem if packing else path.name


def read_bytes(name: str) -> bytes:
    """All of a file, unpacked; UserError for one that is too large to be read whole."""
    blocks, size = [], 0
    with open_stored(name) as stored:
        for block in stored.blocks(1 << 20):
            blocks.append(block)
            size += len(block)
            if size > _LARGEST:
                raise UserError(
                    f"{name}: over {_LARGEST >> 30} GiB, and a file of this layout is read whole: "
                    "give it in parts, or a corpus as JSON Lines or Parquet, which are streamed"
                )
    return b"".join(blocks)


def read_text(name: str, account: Account) -> str:
    """All of a file as text, without the byte order marks of the files it was joined from.

    Where rows may be left out and few lines are not UTF-8 or hold byte 0, such bytes become half
    surrogate pairs, which `check_text` refuses row by row.

    Raises:
        UserError: the file cannot be read, is not UTF-8, or is no text.
    """
    data = read_bytes(name)
    if data.startswith(b"PAR1"):
        raise UserError(f"{name}: a Parquet file by its first bytes: name it .parquet")
    if is_wide(data):
        raise UserError(f"{name}: {WIDE}")
    try:
        text = unmarked(data.decode())
        if "\0" not in text:
            return text
        place = data.index(0)
    except UnicodeDecodeError as error:
        place = error.start
    line, byte = 1 + data.count(b"\n", 0, place), data[place]
    text = unmarked(data.decode(errors="surrogateescape")).replace("\0", _NUL)
    lines = text.split("\n")
    if account.skip and sum(map(bool, map(_ESCAPED_BYTE.search, lines))) * _MANY_BAD_LINES <= len(
        lines
    ):
        return text
    if not byte:
        raise UserError(f"{name}:{line}: byte 0, which no text has: the file is binary, or damaged")
    raise UserError(
        f"{name}:{line}: not UTF-8 (byte 0x{byte:02x}): save the file as UTF-8, {AS_UTF8}"
    )


def unmarked(text: str) -> str:
    """A text without byte order marks at beginnings of lines, where joined files leave them."""
    text = text.lstrip(_MARK)
    while f"\n{_MARK}" in text:
        text = text.replace(f"\n{_MARK}", "\n")
    return text


def text_lines(text: str) -> list[str]:
    """The lines of a text, without their ends; an end at the very end begins no line."""
    lines = text.split("\n")
    if lines and not lines[-1]:
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


def note_lone_returns(name: str, text: str, account: Account) -> None:
    """Note carriage returns amid the lines of a text, which may have been meant to end some."""
    if _LONE_RETURN.search(text):
        account.note(
            f"{name}: carriage returns without a line feed, which end no line: if they should, "
            "save the file with one kind of line end"
        )


def check_text(value: str, what: str) -> None:
    """Raise `Problem` for bytes that were not UTF-8 and for half a surrogate pair."""
    if found := _HALF_PAIR.search(value):
        if _ESCAPED_BYTE.match(found[0]):
            byte = ord(found[0]) & 255
            why = "no UTF-8" if byte else "which no text has"
            raise Problem("not UTF-8", f"{what} holds byte 0x{byte:02x}, {why}")
        raise Problem("not text", f"{what} holds half a surrogate pair, which is not text")


def is_wide(data: bytes) -> bool:
    """Whether bytes look like UTF-16."""
    head = data[:_PEEK]
    fewer, more = sorted((head[::2].count(0), head[1::2].count(0)))
    return more * 3 > len(head) > max(3, fewer * 3)


def _unpacked(name: str, raw: BinaryIO) -> tuple[Any, str]:
    """The stream of what is stored, and what packs it; told by the suffix or the first bytes."""
    suffix = PurePath(name).suffix.lower()
    named, head = COMPRESSED.get(suffix, ""), raw.read(6)
    raw.seek(0)
    packing = next((p for magic, p in _MAGIC.items() if head.startswith(magic)), named)
    if packing == named and head and named and not head.startswith(_BEGINNINGS[named]):
        raise DamagedFile(f"{name}: named {suffix} and not compressed so: correct its name")
    if packing == "gz":
        return gzip.GzipFile(fileobj=raw), packing
    if packing == "xz":
        return lzma.LZMAFile(raw), packing
    if packing == "bz2":
        return bz2.BZ2File(raw), packing
    if packing == "zst":
        import pyarrow

        # Unlike the zstandard package, this notices a truncated frame and reads every frame.
        return pyarrow.CompressedInputStream(pyarrow.PythonFile(raw, mode="r"), "zstd"), packing
    if packing == "zip":
        with archive_errors(name):
            archive = zipfile.ZipFile(raw)
            return archive.open(only_member(name, archive)), packing
    return raw, packing
