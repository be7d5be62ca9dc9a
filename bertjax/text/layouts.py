"""How what is in a file is laid out: one table of suffixes for every command, in any case."""

from __future__ import annotations

import json
from pathlib import PurePath
from typing import Any, NamedTuple

from bertjax.errors import UserError
from bertjax.text.stored import DamagedFile, inner_name, open_stored

# Layout -> the suffixes that say so, those of compression aside.
SUFFIXES = {
    "text": (".txt", ".text"),
    "jsonl": (".jsonl", ".ndjson", ".jsonlines", ".jl", ".ldjson"),
    "json": (".json",),  # JSON Lines as well: the content decides
    "csv": (".csv",),
    "tsv": (".tsv", ".tab"),
    "parquet": (".parquet", ".pq"),
    "arrow": (".arrow", ".feather", ".ipc"),
    "conll": (".conll", ".iob", ".iob2", ".bio"),
    "conllu": (".conllu",),
}
NAMES = {
    "text": "text",
    "jsonl": "JSON Lines",
    "json": "JSON",
    "csv": "CSV",
    "tsv": "TSV",
    "parquet": "Parquet",
    "arrow": "Arrow",
    "conll": "CoNLL",
    "conllu": "CoNLL-U",
    "saved": "saved data set",
    "tfds": "TFDS",
}  # layout -> its name for people
_BY_SUFFIX = {suffix: layout for layout, group in SUFFIXES.items() for suffix in group}
# What is often given and never read.
_FIXES = {
    "a spreadsheet": ((".xlsx", ".xls", ".ods"), "save it as CSV"),
    "a document with formatting": ((".pdf", ".docx", ".doc", ".odt", ".rtf", ".epub"), "save its "
                                   "text as .txt"),
    "markup": ((".html", ".htm", ".xhtml", ".xml"), "extract its text, or name it .txt to take "
               "the tags for text"),
    "a pickle or an archive": ((".pkl", ".pickle", ".pt", ".npy", ".npz", ".tar", ".tgz", ".7z",
                                ".rar"), "unpack it, or save it as JSON Lines or Parquet"),
    "TensorFlow records": ((".tfrecord", ".tfrecords"), "give the TFDS directory, or save them as "
                           "Parquet"),
    "a database": ((".db", ".sqlite", ".sqlite3"), "export the table as CSV"),
}  # fmt: skip
# How what only stands for a file, or is no text as it is, begins.
_STAND_INS = {
    b"version https://git-lfs": "a pointer of Git LFS, not the file: run git lfs pull",
    b"<doc id=": "made by WikiExtractor, whose tags would be text: run it with --json, and name "
    "what it writes .jsonl",
}
_RECORDS = ("jsonl", "json", "parquet", "arrow")  # which no other layout can be taken for
_SNIFFED = 16 << 20  # bytes: a longer first line is not looked at


class Input(NamedTuple):
    """Something to read, and how it is laid out."""

    name: str  # a file, a directory that is a data set, or `tfds:NAME:SPLIT`
    layout: str  # a key of `NAMES`; "" where nothing says


def suffix_of(name: str) -> str:
    """The suffix of what is compressed, in lower case: `.txt` of `A.TXT.gz`."""
    return PurePath(inner_name(name)).suffix.lower()


def layout_of(name: str) -> str:
    """The layout of a file by its suffix, else by its first bytes; "" if neither says.

    Raises:
        UserError: the suffix is of something that is never read.
    """
    suffix = suffix_of(name)
    for what, (suffixes, fix) in _FIXES.items():
        if suffix in suffixes:
            raise UserError(f"{name}: {what}, which is not read: {fix}")
    return _BY_SUFFIX.get(suffix) or _by_content(name)


def is_known(name: str) -> bool:
    """Whether the suffix says how a file is laid out."""
    return suffix_of(name) in _BY_SUFFIX


def settle(name: str, field: str, layout: str = "") -> str:
    """The layout of a file, JSON and JSON Lines told apart; "" if nothing says.

    Text whose first line is a JSON object with `field` is JSON Lines under another name; JSON
    Lines whose first line ends amid a value are JSON.

    Raises:
        UserError: as `layout_of`, the file stands for another one, or is not of a `layout` given.
    """
    told = _BY_SUFFIX.get(suffix_of(name), "")
    if told in _RECORDS and layout in ("conll", "conllu", "csv", "tsv"):
        raise UserError(
            f"{name}: its name says {NAMES[told]}, but data.layout={layout}: set data.layout= to "
            "go by the name, or correct it"
        )
    settled = layout or layout_of(name)
    head = _head(name).lstrip()
    for beginning, what in _STAND_INS.items():
        if head.startswith(beginning):
            raise UserError(f"{name}: {what}")
    if settled == "jsonl" and not layout and _is_spread(head):
        settled = "json"
    if settled == "json" and _first_object(name, alone=False) is not None:
        return "jsonl"
    if settled == "text" and field in (_first_object(name, alone=True) or {}):
        return "jsonl"
    return settled


def _is_spread(head: bytes) -> bool:
    """Whether JSON that begins so has its values over several lines, or in one list."""
    first = head.partition(b"\n")[0].strip()
    return first in (b"{", b"[") or first.startswith(b"[{")


def may_hold(source: Input, field: str) -> bool:
    """Whether a file of a directory can have rows with `field`, by its beginning.

    Directories hold tables and JSON of other purposes, such as a `dataset_infos.json`.
    """
    if source.layout in ("conll", "conllu"):
        return False
    if source.layout not in ("json", "csv", "tsv"):
        return True
    head = _head(source.name).lstrip()
    return head.startswith(b"[") if source.layout == "json" else field.encode() in head[:4096]


def _by_content(name: str) -> str:
    head = _head(name)
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith((b"ARROW1", b"\xff\xff\xff\xff")):
        return "arrow"
    return "jsonl" if _first_object(name, alone=True) is not None else ""


def _head(name: str) -> bytes:
    """The first bytes; none of a file that is damaged, which is said where it is read."""
    try:
        with open_stored(name) as stored:
            return next(stored.blocks(1 << 16), b"")
    except DamagedFile:
        return b""


def _first_object(name: str, alone: bool) -> dict[str, Any] | None:
    """The JSON object on the first line that is not blank, if it is one.

    Unless it may stand `alone`, more text must follow it, as one object is a JSON file, and the
    line after it counts as well: the first one may be broken.
    """
    data, size = b"", 0
    if _head(name).lstrip()[:1] not in (b"{", b""):
        return None
    try:
        with open_stored(name) as stored:
            for block in stored.blocks(1 << 16):
                data, size = (data + block).lstrip(), size + len(block)
                if data.partition(b"\n")[2].strip() or size > _SNIFFED:
                    break
    except DamagedFile:
        pass
    first, _, rest = data.partition(b"\n")
    lines = [first] if alone or rest.strip() else []
    if not alone and first.rstrip()[-1:] not in (b"[", b"{", b",", b":"):
        lines += rest.lstrip().split(b"\n", 1)[:1]
    for line in lines:
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict):
            return found
    return None
