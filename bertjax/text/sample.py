"""A bounded sample of a corpus's sentences, for training a tokenizer."""

from __future__ import annotations

from collections.abc import Iterator

from bertjax.text.account import Account
from bertjax.text.chunks import SKIP_HINT, Chunk, documents
from bertjax.text.sentences import language_of, split_sentences
from bertjax.text.sources import Source

SAMPLE_BYTES = 32 << 20  # SentencePiece takes about 14 times this in memory


def sample_sentences(
    sources: list[Source],
    language: str,
    account: Account | None = None,
    limit: int = SAMPLE_BYTES,
) -> Iterator[str]:
    """Yield the sentences of chunks spread evenly over the input, about `limit` bytes at most.

    Which chunks are taken depends on the input alone. `language` is en, zh or auto. Raises
    `UserError` for the first bad document, unless `account` may leave it out.
    """
    account = account or Account(hint=SKIP_HINT)
    for chunk in _spread(sources, limit, account):
        for text in documents(chunk, account):
            yield from split_sentences(text, language_of(text) if language == "auto" else language)


def _spread(sources: list[Source], limit: int, account: Account) -> list[Chunk]:
    """Keep every chunk, then every second, every fourth ..., as more come than fit."""
    kept: list[Chunk] = []
    size, stride = 0, 1
    chunks = (chunk for source in sources for chunk in source.chunks(account))
    for index, chunk in enumerate(chunks):
        if index % stride:
            continue
        kept.append(chunk)
        size += chunk.size
        while size > limit and len(kept) > 1:
            kept, stride = kept[::2], stride * 2
            size = sum(c.size for c in kept)
    return kept
