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
from typing import NamedTuple

import numpy as np

from bertjax.data.documents import Documents, examples, tokenize
from bertjax.errors import UserError
from bertjax.text.chunks import Chunk, documents
from bertjax.text.tokenizer import Tokenizer, load_tokenizer

_QUEUED_BYTES = 128 << 20  # of text on its way to the workers


class Part(NamedTuple):
    """A tokenized chunk: where it lies, and what the parent needs of it."""

    path: Path
    digests: bytes
    text_bytes: int
    stored_bytes: int


def tokenize_chunks(
    chunks: Iterable[Chunk], tokenizer: Path, language: str, spool: Path, workers: int
) -> Iterator[Part]:
    """Tokenize chunks into files of the directory `spool`; yields them in the chunks' order.

    `tokenizer` is a directory that `workers` processes load, or this one if that is 1. Raises
    `UserError` for the first bad chunk, or if a worker is killed.
    """
    if workers == 1:
        _start_worker(tokenizer, language, spool)
        for index, chunk in enumerate(chunks):
            yield _tokenize_chunk(index, chunk)
        return
    pending: deque[tuple[Future[Part], int]] = deque()
    queued = 0
    setup = (tokenizer, language, spool)
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


_worker: _Worker  # of this process, set once by `_start_worker`


def _start_worker(tokenizer: Path, language: str, spool: Path) -> None:
    global _worker
    # One thread a process: the processes are the parallelism.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    parent = parent_process()
    if parent is not None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its workers itself
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    _worker = _Worker(load_tokenizer(tokenizer), language, spool)


def _end_with(parent_sentinel: int) -> None:
    """Leave when the parent dies without a word, as under SIGKILL."""
    connection.wait([parent_sentinel])
    os._exit(1)


def _tokenize_chunk(index: int, chunk: Chunk) -> Part:
    made = tokenize(documents(chunk), _worker.tokenizer, _worker.language)
    path = _worker.spool / f"{index:09d}"
    _write(path, made)
    return Part(path, made.digests.tobytes(), chunk.size, chunk.stored_bytes)


def _write(path: Path, made: Documents) -> None:
    """Write the arrays of `made`, then the example bytes and where each example ends."""
    serialized = list(examples(made))
    with path.open("wb") as file:
        for field in fields(made):
            np.save(file, getattr(made, field.name))
        np.save(file, np.frombuffer(b"".join(serialized), np.uint8))
        np.save(file, np.cumsum([0, *map(len, serialized)], dtype=np.int64))


def read_part(path: Path) -> tuple[Documents, list[bytes]]:
    """Return the documents of one spool file and the example bytes of each; removes the file."""
    with path.open("rb") as file:
        made = Documents(*(np.load(file) for _ in fields(Documents)))
        data, bounds = np.load(file).tobytes(), np.load(file).tolist()
    path.unlink()
    return made, [data[start:end] for start, end in pairwise(bounds)]
