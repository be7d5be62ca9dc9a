"""Mutations that keep a file's structure, so that they reach what lies behind its parser."""

from __future__ import annotations

import bz2
import contextlib
import copy
import gzip
import io
import json
import lzma
import random
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow
from fuzz_text import PACK

Change = Callable[[bytes], bytes]  # what a fuzzer makes of bytes without knowing what they are

# Values that readers of JSON meet and do not expect.
ODD: list[Any] = [
    None, True, False, 0, 1, -1, 2, 0.5, -0.0, 1e308, float("nan"), float("inf"), 2**31, 2**63,
    -(2**63) - 1, 10**400, "", " ", "0", "1", "a", "\0", "\ud800", "\u2028", "\n", "-1", "1e999",
    "9" * 5000, "[", "['a', 'b']", "[0 1]", "nan", "a" * 3000, [], [[]], [None], [0], ["a"],
    {}, {"": {}}, {"a": []}, {"text": "x"}, ["a", 1, None, {}], [["a"], ["b", "c"]],
]  # fmt: skip
# Stretches that mean something to readers of tables, of text and of columns.
STRETCHES = [
    b'"', b'""', b"'", b"\\", b"\\n", b"\t", b"\r", b"\r\n", b"\n", b"\n\n", b"\0", b"\xef\xbb\xbf",
    b"\xff\xfe", b"\xfe\xff", b"\xff\xfe\0\0", b"\xff", b"\x80", b"\xed\xa0\x80", b"sep=;\n",
    b'sep="\n', b"sep=\\\n", b",", b";", b"|", b" ", b"[", b"]", b"{", b"}", b"nan", b"1e999",
    b"-1", b"0", b"\xd9\xa3", b"\xc2\xb2", b"9" * 5000, b"['a', 'b']", b"[0 1]", b"array([1])",
    b"-DOCSTART-", b"# text = ", b"#begin document", b"\xe2\x80\xa8", b"\xe2\x80\x8b", b"B-", b"O",
    b"label", b"text", b"id", b"\x1e", b"\x85", b"\xc2\x85", b"[" * 2000, b"PAR1", b"<doc id=",
]  # fmt: skip
# Arrays that stand where others are expected, mostly of the length of those of the seeds.
ARRAYS = [
    *(np.full(6, odd) for odd in (np.nan, np.inf, 1e308, -1.0, 0.0, 1j, 1, "a", b"a", True)),
    np.zeros(0), np.zeros((6, 1)), np.array(3.0), np.array("[]"), np.zeros(6, "m8[s]"),
]  # fmt: skip
UNPACK: dict[str, Change] = {
    ".gz": gzip.decompress,
    ".xz": lzma.decompress,
    ".bz2": bz2.decompress,
    ".zst": lambda data: pyarrow.CompressedInputStream(pyarrow.BufferReader(data), "zstd").read(),
    ".zip": lambda data: _member(data),
}


def mutated(name: str, data: bytes, plain: Change, draw: random.Random) -> bytes:
    """Another input for a file of that name: its payload, values or bytes changed."""
    try:
        return _mutated(name, data, plain, draw)
    except (ValueError, OverflowError):  # a number that has grown over a limit of Python's own
        return plain(data)


def _mutated(name: str, data: bytes, plain: Change, draw: random.Random) -> bytes:
    suffix = next((suffix for suffix in UNPACK if name.endswith(suffix)), "")
    if suffix and draw.random() < 0.7:
        with contextlib.suppress(Exception):  # no longer packed so
            inner = UNPACK[suffix](data)[: 1 << 20]
            return PACK[suffix](_mutated(name.removesuffix(suffix), inner, plain, draw))
    choice = draw.random()
    if name.endswith((".json", ".jsonl")) and choice < 0.7:
        return _in_json(data, draw)
    if name.endswith(".npz") and choice < 0.8:
        return _in_archive(data, plain, draw)
    if name.endswith(".safetensors") and choice < 0.7:
        return _in_header(data, draw)
    if choice < 0.3 and not name.endswith((".parquet", ".arrow", ".model")):
        return _spliced(data, draw)
    return plain(data)


def _member(data: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return archive.read(archive.namelist()[0])


def _spliced(data: bytes, draw: random.Random) -> bytes:
    for _ in range(draw.randint(1, 3)):
        start = draw.randint(0, len(data))
        end = min(len(data), start + draw.choice((0, 0, 1, 5)))
        data = data[:start] + draw.choice(STRETCHES) + data[end:]
    return data


def _in_json(data: bytes, draw: random.Random) -> bytes:
    """Change a value of the whole, or of one of the lines."""
    with contextlib.suppress(ValueError, RecursionError):
        return _changed(json.loads(data), draw)
    rows = data.split(b"\n")
    at = draw.randrange(len(rows))
    with contextlib.suppress(ValueError, RecursionError):
        rows[at] = _changed(json.loads(rows[at]), draw)
        return b"\n".join(rows)
    return _spliced(data, draw)


def _in_header(data: bytes, draw: random.Random) -> bytes:
    size = int.from_bytes(data[:8], "little")
    with contextlib.suppress(ValueError, RecursionError):
        header = _changed(json.loads(data[8 : 8 + size]), draw)
        return len(header).to_bytes(8, "little") + header + data[8 + size :]
    return _spliced(data, draw)


def _in_archive(data: bytes, plain: Change, draw: random.Random) -> bytes:
    """Change an array behind the checksums of its archive: its bytes, its text, or all of it."""
    with contextlib.suppress(Exception):  # no archive of arrays any more
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            found = dict(arrays)
        name = draw.choice(sorted(found))
        if draw.random() < 0.3:
            found[name] = draw.choice(ARRAYS)
        elif found[name].ndim:
            new = plain(found[name].tobytes()).ljust(found[name].nbytes, b"\0")
            found[name] = np.frombuffer(new, found[name].dtype, found[name].size)
        else:
            found[name] = np.array(_in_json(str(found[name]).encode(), draw).decode())
        file = io.BytesIO()
        np.savez_compressed(file, allow_pickle=False, **found)
        return file.getvalue()
    return plain(data)


def _changed(value: Any, draw: random.Random) -> bytes:
    """JSON with one to three of its values, keys or lengths changed."""
    for _ in range(draw.choice((1, 1, 2, 3))):
        value = _change(value, draw)
    text = json.dumps(value, ensure_ascii=draw.random() < 0.9)
    if draw.random() < 0.05:  # a key twice
        text = text.replace("{", '{"text": 0, ', 1)
    if draw.random() < 0.02:
        text = text.replace("null", "[" * 5000 + "]" * 5000, 1)
    return text.encode(errors="surrogatepass")


def _change(value: Any, draw: random.Random) -> Any:
    places: list[tuple[Any, Any]] = []
    left = [value]
    while left:
        node = left.pop()
        keys = (
            list(node)
            if isinstance(node, dict)
            else range(len(node))
            if isinstance(node, list)
            else ()
        )
        places += [(node, key) for key in keys]
        left += [node[key] for key in keys]
    if not places or draw.random() < 0.03:
        return copy.deepcopy(draw.choice(ODD))
    node, key = draw.choice(places)
    what = draw.random()
    if what < 0.15:
        del node[key]
    elif what < 0.25 and isinstance(node, dict):
        node[draw.choice(["", "a", "text", "label", "id", "\ud800", "9" * 20])] = node.pop(key)
    elif what < 0.35 and isinstance(node, list):
        node.insert(key, copy.deepcopy(draw.choice([*ODD, node[key]])))
    elif what < 0.45:
        node[key] = copy.deepcopy(draw.choice(places)[0])
    elif what < 0.6 and isinstance(node[key], int | float):
        node[key] = node[key] * draw.choice((-1, 0, 2, 1000, 0.5)) + draw.choice((-1, 0, 1))
    else:
        node[key] = copy.deepcopy(draw.choice(ODD))
    return value
