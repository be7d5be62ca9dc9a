"""Build a corpus: tokenize chunks in parallel, drop duplicates, hold documents out, write.

    chunks -> workers: documents, sentences, ids, flags, example bytes -> spool, a file a chunk
    digests -> which documents come first, which are held out
    spool, in order -> flat arrays and shards of each split -> manifest -> the final name

The bytes depend on the text, the tokenizer and the settings; the number of workers, the time
and the path do not enter. Memory depends on none of them: it is a few chunks a process.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import compress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bertjax.data import manifest
from bertjax.data.corpus import BERT_PAIR, WORD
from bertjax.data.dedup import mark_first
from bertjax.data.documents import DIGEST_BYTES, Documents
from bertjax.data.spool import read_part, tokenize_chunks
from bertjax.data.writer import SplitWriter, write_tfds_metadata
from bertjax.durable import staged
from bertjax.errors import UserError
from bertjax.text.account import Account
from bertjax.text.chunks import SKIP_HINT
from bertjax.text.sources import Source, without_text
from bertjax.text.tokenizer import Tokenizer, load_tokenizer


@dataclass(frozen=True)
class BuildSettings:
    """What decides the bytes of a corpus besides its text and tokenizer."""

    language: str = "auto"  # en | zh | auto: by document
    held_out: float = 0.01  # share of documents in the validation split; 0: no such split

    def __post_init__(self) -> None:
        if self.language not in ("auto", "en", "zh"):
            raise UserError(f"--language {self.language!r}: choose auto, en or zh")
        if not 0 <= self.held_out < 1:
            raise UserError(f"--held-out {self.held_out}: give a share from 0 to less than 1")


class Progress(NamedTuple):
    """How far tokenizing has come."""

    documents: int
    text_bytes: int
    done: float  # share of the input as stored, 0 to 1


def build_corpus(
    sources: list[Source],
    out: Path,
    tokenizer: Tokenizer,
    settings: BuildSettings,
    workers: int,
    report: Callable[[Progress], None] = lambda progress: None,
    log: Callable[[str], None] = lambda line: None,
    account: Account | None = None,
) -> dict[str, Any]:
    """Build the corpus directory `out` and return its manifest, without the list of files.

    `report` is called after each chunk; what is left out goes to `account`. Raises `UserError`
    for bad input that it may not leave out, too few documents, an `out` that exists and a disk
    that is full; `out` then does not come to be.
    """
    account = account or Account(hint=SKIP_HINT)
    if workers < 1:
        raise UserError(f"--workers {workers}: give at least 1")

    def spool_parts(stage: Path) -> list[Path]:
        return _tokenize_all(sources, stage, settings, workers, report, account)

    return build_from_parts(spool_parts, sources, out, tokenizer, settings, log, account)


def build_from_parts(
    spool_parts: Callable[[Path], list[Path]],
    sources: list[Source],
    out: Path,
    tokenizer: Tokenizer,
    settings: BuildSettings,
    log: Callable[[str], None],
    account: Account,
) -> dict[str, Any]:
    """Build as `build_corpus` does, whoever tokenizes.

    `spool_parts` is given the unfinished directory, which holds the tokenizer and an empty
    `spool`. It returns the parts (`bertjax.data.spool.write_part`) of all `sources` in order, and
    leaves the digests of all documents in `spool/digests`.
    """
    with staged(out, log) as stage:
        tokenizer.save(stage / "tokenizer")
        tokenizer = load_tokenizer(stage / "tokenizer")  # from here on, the file is what counts
        spool = stage / "spool"
        spool.mkdir()
        paths = spool_parts(stage)
        if (spool / "digests").stat().st_size == 0:
            raise without_text(sources, account)
        content = _write_splits(paths, stage, tokenizer, settings)
        for path in sorted(spool.iterdir()):
            path.unlink()
        spool.rmdir()
        manifest.write(stage, content)
    return content


def _tokenize_all(
    sources: list[Source],
    stage: Path,
    settings: BuildSettings,
    workers: int,
    report: Callable[[Progress], None],
    account: Account,
) -> list[Path]:
    """Spool every chunk, and all digests to one file; return the spool files in order."""
    total = sum(source.stored_bytes for source in sources)
    count = text_bytes = stored_bytes = 0
    paths = []
    chunks = (chunk for source in sources for chunk in source.chunks(account))
    with (stage / "spool" / "digests").open("wb") as digests:
        for part in tokenize_chunks(
            chunks, stage / "tokenizer", settings.language, stage / "spool", workers, account.skip
        ):
            account.add(part.account)
            digests.write(part.digests)
            paths.append(part.path)
            count += len(part.digests) // DIGEST_BYTES
            text_bytes += part.text_bytes
            stored_bytes += part.stored_bytes
            report(Progress(count, text_bytes, stored_bytes / max(total, 1)))
    report(Progress(count, text_bytes, 1.0))  # what is not read, such as other columns, is behind
    return paths


def _write_splits(
    paths: list[Path], stage: Path, tokenizer: Tokenizer, settings: BuildSettings
) -> dict[str, Any]:
    """Write every kept document to its split; return what the manifest says about them."""
    digests = stage / "spool" / "digests"
    held_out_below = _held_out_below(digests, settings.held_out)
    first = mark_first(digests, stage / "spool")
    names = ("train", "validation") if settings.held_out else ("train",)
    counts = {name: _Counts() for name in names}
    position = 0
    with ExitStack() as stack:
        writers = {name: stack.enter_context(SplitWriter(stage, name)) for name in names}
        for path in paths:
            part, serialized = read_part(path)
            kept = first[position : position + len(serialized)]
            position += len(serialized)
            held_out = part.digests.view("<u8")[:, 0] < np.uint64(held_out_below)
            for name, chosen in (("train", kept & ~held_out), ("validation", kept & held_out)):
                if chosen.any():
                    _append(writers[name], counts[name], part, serialized, chosen, tokenizer)
    write_tfds_metadata(stage, writers.values())
    pair = (tokenizer.framing.separators, tokenizer.framing.second_type)
    return {
        "splits": {name: asdict(c) for name, c in counts.items()},
        "duplicates": len(first) - sum(c.documents for c in counts.values()),
        "tokenizer": tokenizer.fingerprint,
        "special": asdict(tokenizer.special),
        "vocab_size": tokenizer.vocab_size,
        "settings": asdict(settings),
        **({} if pair == BERT_PAIR else {"pair": pair}),
    }


@dataclass
class _Counts:
    documents: int = 0
    sentences: int = 0
    words: int = 0
    tokens: int = 0
    unknown: int = 0  # tokens that are [UNK]
    text_bytes: int = 0  # of the documents' text in UTF-8, what has no token included


def _append(
    writer: SplitWriter,
    counts: _Counts,
    part: Documents,
    serialized: list[bytes],
    chosen: np.ndarray,
    tokenizer: Tokenizer,
) -> None:
    """Append the documents where `chosen` (bool [documents]) holds."""
    document_lengths = np.diff(part.document_starts)
    sentence_lengths = np.diff(part.sentence_starts)
    sentences = np.diff(np.searchsorted(part.sentence_starts, part.document_starts))
    of_tokens = np.repeat(chosen, document_lengths)
    tokens, boundaries = part.tokens[of_tokens], part.boundaries[of_tokens]
    sentence_lengths = sentence_lengths[np.repeat(chosen, sentences)]
    writer.append(
        tokens, boundaries, document_lengths[chosen], sentence_lengths, compress(serialized, chosen)
    )
    counts.documents += int(chosen.sum())
    counts.sentences += len(sentence_lengths)
    counts.words += int(np.count_nonzero(boundaries & WORD))
    counts.tokens += len(tokens)
    counts.text_bytes += int(part.text_bytes[chosen].sum())
    counts.unknown += int(np.count_nonzero(tokens == tokenizer.special.unk))


def _held_out_below(digests: Path, share: float) -> int:
    """Return the number below which the first 8 bytes of a held-out document's digest lie.

    A document's split thus depends on its own text alone, except that both splits get at least
    one document.
    """
    low, high = 2**64 - 1, 0
    with digests.open("rb") as file:
        while block := file.read(16 << 20):
            keys = np.frombuffer(block, "<u8")[::2]
            low, high = min(low, int(keys.min())), max(high, int(keys.max()))
    if low == high:
        equal = digests.stat().st_size // DIGEST_BYTES
        found = "1 document" if equal == 1 else f"{equal:,} documents that are all equal"
        raise UserError(
            f"the text is {found}, and a corpus needs at least 2: put a blank line between "
            "documents, or use --one-document-per-line"
        )
    return min(max(int(share * 2**64), low + 1), high) if share else 0
