"""Text to arrays, and arrays to the example bytes that TFDS reads.

Everything here works on many documents at once, laid end to end, because a corpus of short
documents would otherwise spend its time in Python and not in the tokenizer.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, compress

import numpy as np

from bertjax.data.corpus import SENTENCE, WORD, token_dtype
from bertjax.data.running_text import encode, stretches
from bertjax.text.sentences import language_of, sentence_spans
from bertjax.text.tokenizer import Tokenizer

DIGEST_BYTES = 16  # of SHA-256: enough that equal digests mean equal documents


@dataclass(frozen=True, eq=False)
class Documents:
    """Tokenized documents end to end; offsets as in `bertjax.data.corpus.Corpus`."""

    tokens: np.ndarray  # uint16 or uint32 [tokens]
    boundaries: np.ndarray  # uint8 [tokens]
    document_starts: np.ndarray  # int64 [documents + 1]
    sentence_starts: np.ndarray  # int64 [sentences + 1]
    digests: np.ndarray  # uint8 [documents, DIGEST_BYTES], of the text
    text_bytes: np.ndarray  # int64 [documents], of the text in UTF-8


def tokenize(texts: Sequence[str], tokenizer: Tokenizer, language: str) -> Documents:
    """Tokenize documents and find their sentences and words; `language` is en, zh or auto.

    A document's ids are those of its text as a whole. Sentences and documents without a single
    token are left out.
    """
    languages = [language_of(t) if language == "auto" else language for t in texts]
    spans = [sentence_spans(t, name) for t, name in zip(texts, languages, strict=True)]
    parts = list(
        chain.from_iterable(
            stretches(text, found, name, tokenizer)
            for text, found, name in zip(texts, spans, languages, strict=True)
        )
    )
    tokens, starts, words = encode(parts, tokenizer)
    document_of = np.repeat(np.arange(len(texts)), [len(s) for s in spans])
    _after_white_space(tokens, starts, words, document_of, tokenizer)

    lengths = np.diff(starts)
    kept = lengths > 0
    boundaries = np.where(words, WORD, 0).astype(np.uint8)
    boundaries[starts[:-1][kept]] = WORD | SENTENCE
    document_lengths = np.bincount(document_of, lengths, minlength=len(texts)).astype(np.int64)
    present = document_lengths > 0
    encoded = [text.encode() for text in compress(texts, present)]
    return Documents(
        tokens.astype(token_dtype(tokenizer.vocab_size)),
        boundaries,
        np.concatenate([[0], np.cumsum(document_lengths[present])]).astype(np.int64),
        np.append(starts[:-1][kept], len(tokens)).astype(np.int64),
        _digests(encoded),
        np.array(list(map(len, encoded)), np.int64),
    )


def _after_white_space(
    tokens: np.ndarray,
    starts: np.ndarray,
    words: np.ndarray,
    document_of: np.ndarray,
    tokenizer: Tokenizer,
) -> None:
    """Start words and, inside a document, sentences after tokens that are white space alone.

    The mark of a word, where it is a token by itself, belongs to the word.
    """
    white, mark = tokenizer.white.copy(), tokenizer.id(tokenizer.mark)
    if mark is not None:
        white[mark] = False
    if not white.any():
        return
    blank = white[tokens]
    words[1:] |= blank[:-1]
    inside = np.flatnonzero(np.diff(document_of) == 0) + 1  # sentences but a document's first
    while len(inside):
        inside = inside[starts[inside] < starts[inside + 1]]
        inside = inside[blank[starts[inside]]]
        starts[inside] += 1


def _digests(texts: Iterable[bytes]) -> np.ndarray:
    digests = b"".join(hashlib.sha256(text).digest()[:DIGEST_BYTES] for text in texts)
    return np.frombuffer(digests, np.uint8).reshape(-1, DIGEST_BYTES)


FEATURES = ("tokens", "sentence_starts", "word_starts")


def examples(documents: Documents) -> Iterator[bytes]:
    """Yield each document as a serialized `tf.train.Example` with the lists `FEATURES`.

    Starts count tokens from the start of the document. A later boundary level would be one more
    list of starts.
    """
    starts = documents.document_starts
    lists = {
        "tokens": (documents.tokens, starts),
        "sentence_starts": _within_documents(documents.sentence_starts[:-1], starts),
        "word_starts": _within_documents(np.flatnonzero(documents.boundaries & WORD), starts),
    }
    packed = [(name.encode(), *_packed_varints(*lists[name])) for name in FEATURES]
    for i in range(len(starts) - 1):
        features = b""
        for name, data, ends in packed:
            ints = data[ends[i] : ends[i + 1]]
            features += _before(name, len(ints)) + ints
        yield _field(1, features)


@functools.lru_cache(1 << 14)
def _before(name: bytes, size: int) -> bytes:
    """Return what precedes `size` bytes of packed integers in a `features` entry."""
    # features { key: name, value { int64_list { value: [packed] } } }, field by field.
    entry = _field(1, _field(1, name) + _field(2, _field(3, _field(1, bytes(size)))))
    return entry[: len(entry) - size]


def _within_documents(
    positions: np.ndarray, document_starts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Make sorted token positions relative to their documents.

    Returns the relative positions and, for each document, where its own begin: [documents + 1].
    """
    bounds = np.searchsorted(positions, document_starts)
    return positions - np.repeat(document_starts[:-1], np.diff(bounds)), bounds


def _packed_varints(values: np.ndarray, bounds: np.ndarray) -> tuple[bytes, list[int]]:
    """Write non-negative integers below 2^32 as protobuf varints, end to end.

    Also returns the byte offsets that the list indices `bounds` turn into.
    """
    values = values.astype(np.uint32)
    width = max(1, -(-int(values.max(initial=0)).bit_length() // 7))
    data = np.empty((len(values), width), np.uint8)  # a row a number, seven bits a byte
    used = np.ones((len(values), width), bool)
    for byte in range(width):
        data[:, byte] = values >> np.uint32(7 * byte) & np.uint32(127)
        if byte + 1 < width:
            used[:, byte + 1] = values >= np.uint32(1 << 7 * (byte + 1))
            data[:, byte] |= used[:, byte + 1].view(np.uint8) << 7  # more bytes follow
    ends = np.concatenate([[0], np.cumsum(used.sum(axis=1))])
    return data[used].tobytes(), ends[bounds].tolist()


def _field(number: int, payload: bytes) -> bytes:
    """Return one length-delimited protobuf field."""
    size, prefix = len(payload), bytearray([number << 3 | 2])
    while size > 127:
        prefix.append(size & 127 | 128)
        size >>= 7
    prefix.append(size)
    return bytes(prefix) + payload
