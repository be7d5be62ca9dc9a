"""Tokenize chunks in parallel worker processes; each result waits in a file, in order."""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import fields
from itertools import pairwise
from multiprocessing import connection, get_context, parent_process
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from bertjax.data.documents import Documents, examples, tokenize
from bertjax.errors import UserError
from bertjax.text.account import Account
from bertjax.text.chunks import SKIP_HINT, Chunk, documents
from bertjax.text.tokenizer import Tokenizer, load_tokenizer

_QUEUED_BYTES = 128 << 20  # of text on its way to the workers


class Part(NamedTuple):
    """A tokenized chunk: where it lies, and what the parent needs of it."""

    path: Path
    digests: bytes
    text_bytes: int
    stored_bytes: int
    account: Account  # of what was left out


def tokenize_chunks(
    chunks: Iterable[Chunk],
    tokenizer: Path,
    language: str,
    spool: Path,
    workers: int,
    skip_bad: bool = False,
) -> Iterator[Part]:
    """Tokenize chunks into files of the directory `spool`; yields them in the chunks' order.

    `tokenizer` is a directory that `workers` processes load, or this one if that is 1. Raises
    `UserError` for the first bad document, unless `skip_bad`, or if a worker is killed.
    """
    if workers == 1:
        _start_worker(tokenizer, language, spool, skip_bad)
        for index, chunk in enumerate(chunks):
            yield _tokenize_chunk(index, chunk)
        return
    pending: deque[tuple[Future[Part], int]] = deque()
    queued = 0
    setup = (tokenizer, language, spool, skip_bad)
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _start_worker, setup)
    try:
        for index, chunk in enumerate(chunks):
            pending.append((pool.submit(_tokenize_chunk, index, chunk), chunk.size))
            queued += chunk.size
            while len(pending) > 2 * workers or queued > _QUEUED_BYTES:
                future, size = pending.popleft()
                queued -= size
                yield future.result()
        while pending:
            yield pending.popleft()[0].result()
    except BrokenProcessPool:
        raise UserError(
            f"one of {workers} worker processes was killed, most likely for lack of memory: "
            "use fewer --workers"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


class _Worker(NamedTuple):
    tokenizer: Tokenizer
    language: str
    spool: Path
    skip_bad: bool


_worker: _Worker  # of this process, set once by `_start_worker`


def _start_worker(tokenizer: Path, language: str, spool: Path, skip_bad: bool) -> None:
    global _worker
    # One thread a process: the processes are the parallelism.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    parent = parent_process()
    if parent is not None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its workers itself
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    _worker = _Worker(load_tokenizer(tokenizer), language, spool, skip_bad)


def _end_with(parent_sentinel: int) -> None:
    """Leave when the parent dies without a word, as under SIGKILL."""
    connection.wait([parent_sentinel])
    os._exit(1)


def _tokenize_chunk(index: int, chunk: Chunk) -> Part:
    path = _worker.spool / f"{index:09d}"
    account = Account(_worker.skip_bad, SKIP_HINT)
    with path.open("wb") as file:
        digests = write_part(file, chunk, _worker.tokenizer, _worker.language, account)
    return Part(path, digests, chunk.size, chunk.stored_bytes, account)


# The digests lie first, for who needs nothing else of a part.
_ARRAYS = sorted((field.name for field in fields(Documents)), key="digests".__ne__)


def write_part(
    file: BinaryIO, chunk: Chunk, tokenizer: Tokenizer, language: str, account: Account
) -> bytes:
    """Tokenize a chunk into a file that `read_part` reads; returns its documents' digests.

    Raises `UserError` for text that cannot be right and that `account` may not leave out, before
    anything is written.
    """
    made = tokenize(documents(chunk, account), tokenizer, language)
    serialized = list(examples(made))
    for name in _ARRAYS:
        np.save(file, getattr(made, name))
    np.save(file, np.frombuffer(b"".join(serialized), np.uint8))  # and where each example ends:
    np.save(file, np.cumsum([0, *map(len, serialized)], dtype=np.int64))
    return made.digests.tobytes()


def read_digests(path: Path) -> bytes:
    """Return the digests of one part, 16 bytes a document."""
    with path.open("rb") as file:
        return np.load(file).tobytes()


def read_part(path: Path) -> tuple[Documents, list[bytes]]:
    """Return the documents of one part and the example bytes of each; removes the file."""
    with path.open("rb") as file:
        made = Documents(**{name: np.load(file) for name in _ARRAYS})
        data, bounds = np.load(file).tobytes(), np.load(file).tolist()
    path.unlink()
    return made, [data[start:end] for start, end in pairwise(bounds)]
