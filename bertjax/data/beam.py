"""Build a corpus with Apache Beam: the bytes of `bertjax.data.build`, tokenized on many machines.

    sources -> cut into chunks, a worker a source -> tokenized, a worker a chunk -> parts
    parts, in order -> duplicates, splits and shards, on the machine that was asked

All workers see one file system, with the text and the directory of `out` at the same paths, and
have bertjax installed. Text stays in files there: through Beam goes only where a chunk lies, so
that no runner has to hold a corpus. Tokenizing is nearly all of the work; what follows it has one
order, finds duplicates by 16 bytes a document, and is left to one machine.

TFDS's own Beam writer is not used: it orders documents by key, holds a shard in memory, and notes
the time and the place, so its bytes would not be those of the plain build; its Beam reader needs
TensorFlow. What is written here is a TFDS data set all the same.
"""

from __future__ import annotations

import functools
import json
import os
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bertjax.data.build import BuildSettings, build_from_parts
from bertjax.data.spool import read_digests, write_part
from bertjax.durable import appearing_file
from bertjax.errors import UserError
from bertjax.text.account import Account
from bertjax.text.chunks import SKIP_HINT, Chunk
from bertjax.text.sources import FileSource, Source
from bertjax.text.stored import local
from bertjax.text.tokenizer import Tokenizer, load_tokenizer

if TYPE_CHECKING:
    import apache_beam


def build_corpus_with_beam(
    sources: list[Source],
    out: Path,
    tokenizer: Tokenizer,
    settings: BuildSettings,
    pipeline: apache_beam.Pipeline,
    log: Callable[[str], None] = lambda line: None,
    account: Account | None = None,
) -> dict[str, Any]:
    """Build the corpus directory `out` by an empty `pipeline` and return its manifest.

    Raises `UserError` as `bertjax.data.build.build_corpus` does, with whole paths, and where the
    pipeline fails or its workers do not see the files.
    """
    account = account or Account(hint=SKIP_HINT)
    found_anywhere = [_from_anywhere(source) for source in sources]

    def spool_parts(stage: Path) -> list[Path]:
        (stage / "failed").mkdir()
        work = _Work(stage, tokenizer.fingerprint, settings.language, account.skip)
        _run(pipeline, found_anywhere, work)
        return _collect(work, len(sources), account)

    return build_from_parts(spool_parts, sources, out, tokenizer, settings, log, account)


def _from_anywhere(source: Source) -> Source:
    """Name files so that a worker in another working directory finds them."""
    if source.layout == "tfds":
        return source
    if local(source.name) != Path(source.name):
        raise UserError(
            f"{source.name}: a pipe, which Beam's workers cannot read: save the text as a file"
        )
    return replace(source, name=os.path.abspath(source.name))


@dataclass(frozen=True)
class _Work:
    """What every worker is told."""

    stage: Path  # the unfinished directory
    tokenizer: str  # fingerprint of the tokenizer that lies there
    language: str
    skip_bad: bool

    @property
    def spool(self) -> Path:
        return self.stage / "spool"

    @property
    def failed(self) -> Path:
        """The directory with a file for each element that cannot be processed."""
        return self.stage / "failed"


class _Located(NamedTuple):
    """A chunk whose payload lies in a file."""

    name: str  # sorts as chunks do
    chunk: Chunk  # without its payload
    file: Path
    start: int
    size: int


def _run(pipeline: apache_beam.Pipeline, sources: list[Source], work: _Work) -> None:
    import apache_beam as beam
    from apache_beam.runners.runner import PipelineState

    # Names are given: they are what a runner's page and messages show.
    _ = (
        pipeline
        | "Sources" >> beam.Create(list(enumerate(sources)))
        | "SpreadSources" >> beam.Reshuffle()
        | "Cut" >> beam.FlatMap(functools.partial(_cut, work))
        | "SpreadChunks" >> beam.Reshuffle()
        | "Tokenize" >> beam.Map(functools.partial(_tokenize, work))
    )
    try:
        state = pipeline.run().wait_until_finish()
    except Exception as error:  # each runner has its own kinds
        _raise_first_failure(work)
        raise UserError(_pipeline_failed(work, _last_line(error))) from error
    _raise_first_failure(work)
    if state != PipelineState.DONE:
        raise UserError(_pipeline_failed(work, f"it ended as {state}"))


def _last_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()  # a worker's traceback, where the runner sends it
    return lines[-1].strip() if lines else type(error).__name__


def _pipeline_failed(work: _Work, reason: str) -> str:
    return (
        f"--beam-runner: the pipeline failed ({reason:.300}): every worker needs bertjax and the "
        f"same files, among them {work.stage.parent}; the runner's log above says more"
    )


def _cut(work: _Work, numbered: tuple[int, Source]) -> Iterator[_Located]:
    """Yield where each chunk of a source lies, then leave their number in the spool."""
    number, source = numbered
    count = 0
    with _failure_of(work, lambda: f"{number:06d}-{count:09d}"):
        account = Account(work.skip_bad, SKIP_HINT)
        chunks = source.chunks(account)
        if isinstance(source, FileSource) and source.is_plain():
            located = _within_source(chunks, Path(source.name))
        else:
            located = _copied(chunks, work.spool / f"text-{number:06d}-{uuid.uuid4().hex}")
        for chunk, file, start, size in located:
            name = f"{number:06d}-{count:09d}"
            if _stopped(work, name):
                return
            yield _Located(name, chunk, file, start, size)
            count += 1
        _note(work, f"{number:06d}-", account)
        with appearing_file(work.spool / f"count-{number:06d}") as result:
            result.write(str(count).encode())


_Location = tuple[Chunk, Path, int, int]


def _within_source(chunks: Iterator[Chunk], file: Path) -> Iterator[_Location]:
    for chunk in chunks:
        yield replace(chunk, payload=b""), file, chunk.offset, chunk.size


def _copied(chunks: Iterator[Chunk], path: Path) -> Iterator[_Location]:
    """Copy to one file what can only be read from its beginning, or is no text in a file."""
    end = 0
    with path.open("wb") as file:
        for chunk in chunks:
            payload = chunk.payload
            data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
            file.write(data)
            file.flush()  # it may be read as soon as it is known
            yield replace(chunk, payload=b""), path, end, len(data)
            end += len(data)


def _read(located: _Located) -> Chunk:
    with located.file.open("rb") as file:
        file.seek(located.start)
        data = file.read(located.size)
    if len(data) < located.size:
        raise UserError(
            f"{located.file}: ends at byte {located.start + len(data)}, it was longer when the "
            "build began: leave the text alone while it is read"
        )
    strings = located.chunk.layout == "strings"
    return replace(located.chunk, payload=json.loads(data) if strings else data)


def _tokenize(work: _Work, located: _Located) -> None:
    if _stopped(work, located.name):
        return
    with _failure_of(work, lambda: located.name):
        chunk = _read(located)
        tokenizer = _load(work.stage / "tokenizer", work.tokenizer)
        account = Account(work.skip_bad, SKIP_HINT)
        with appearing_file(work.spool / f"part-{located.name}") as file:
            write_part(file, chunk, tokenizer, work.language, account)
        _note(work, located.name, account)


def _note(work: _Work, name: str, account: Account) -> None:
    """Leave what was left out where `_collect` finds it; names sort as the text does."""
    if account.left or account.aside:
        with appearing_file(work.spool / f"account-{name}") as file:
            noted = {"left": account.left, "aside": account.aside, "first": account.first}
            file.write(json.dumps(noted).encode())


@functools.lru_cache(1)
def _load(directory: Path, fingerprint: str) -> Tokenizer:
    """Load the tokenizer once a process; the fingerprint tells apart what a path held in turn."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the workers are the parallelism
    return load_tokenizer(directory)


# A mistake in the text is a result, not a failure: a runner would try again, and its error would
# bury the line for the user. The first mistake in the order of the text is the one reported, so
# what comes after a known one is left undone.


@contextmanager
def _failure_of(work: _Work, name: Callable[[], str]) -> Iterator[None]:
    try:
        yield
    except UserError as error:
        (work.failed / name()).write_text(str(error), encoding="utf-8")


def _stopped(work: _Work, name: str) -> bool:
    return any(path.name < name for path in work.failed.iterdir())


def _raise_first_failure(work: _Work) -> None:
    for path in sorted(work.failed.iterdir()):
        raise UserError(path.read_text(encoding="utf-8"))


def _collect(work: _Work, sources: int, account: Account) -> list[Path]:
    """Check that every chunk has its part, gather the digests, and return the parts in order.

    What was left out goes to `account`.
    """
    paths = list(chain.from_iterable(_parts(work, number) for number in range(sources)))
    with (work.spool / "digests").open("wb") as file:
        for path in paths:
            file.write(read_digests(path))
    for path in work.spool.glob("text-*"):
        path.unlink()
    for path in sorted(work.spool.glob("account-*")):
        noted = json.loads(path.read_bytes())
        left, aside = Counter(noted["left"]), Counter(noted["aside"])
        account.add(Account(left=left, aside=aside, first=noted["first"]))
    work.failed.rmdir()
    return paths


def _parts(work: _Work, source: int) -> Iterator[Path]:
    counted = work.spool / f"count-{source:06d}"
    count = int(counted.read_text()) if counted.exists() else None
    if count is None:
        raise UserError(_pipeline_failed(work, f"{counted.name} is missing"))
    for chunk in range(count):
        path = work.spool / f"part-{source:06d}-{chunk:09d}"
        if not path.exists():
            raise UserError(_pipeline_failed(work, f"{path.name} is missing"))
        yield path
