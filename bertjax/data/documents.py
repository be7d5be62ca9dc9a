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
from bertjax.text.chinese_words import chinese_word_starts
from bertjax.text.sentences import language_of, split_sentences
from bertjax.text.tokenizer import Tokenizer

DIGEST_BYTES = 16  # of SHA-256: enough that equal digests mean equal documents
ENCODE_CHARS = 1 << 16  # text given to the tokenizer at once, which bounds its memory


@dataclass(frozen=True, eq=False)
class Documents:
    """Tokenized documents end to end; offsets as in `bertjax.data.corpus.Corpus`."""

    tokens: np.ndarray  # uint16 or uint32 [tokens]
    boundaries: np.ndarray  # uint8 [tokens]
    document_starts: np.ndarray  # int64 [documents + 1]
    sentence_starts: np.ndarray  # int64 [sentences + 1]
    digests: np.ndarray  # uint8 [documents, DIGEST_BYTES], of the text


def tokenize(texts: Sequence[str], tokenizer: Tokenizer, language: str) -> Documents:
    """Tokenize documents and find their sentences and words; `language` is en, zh or auto.

    Sentences and documents without a single token are left out.
    """
    languages = [language_of(t) if language == "auto" else language for t in texts]
    split = [split_sentences(t, name) for t, name in zip(texts, languages, strict=True)]
    sentences = list(chain.from_iterable(split))
    tokens, lengths = _encode(sentences, tokenizer)

    document_of = np.repeat(np.arange(len(texts)), [len(s) for s in split])
    boundaries = np.where(tokenizer.starts_word[tokens], WORD, 0).astype(np.uint8)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    for i in _of_chinese(languages, document_of):
        flags = chinese_word_starts(sentences[i], tokenizer)
        boundaries[starts[i] : starts[i + 1]] = np.where(flags, WORD, 0)
    kept = lengths > 0
    boundaries[starts[:-1][kept]] = WORD | SENTENCE

    document_lengths = np.bincount(document_of, lengths, minlength=len(texts)).astype(np.int64)
    present = document_lengths > 0
    return Documents(
        tokens.astype(token_dtype(tokenizer.vocab_size)),
        boundaries,
        np.concatenate([[0], np.cumsum(document_lengths[present])]).astype(np.int64),
        np.append(starts[:-1][kept], len(tokens)).astype(np.int64),
        _digests(compress(texts, present)),
    )


def _encode(sentences: list[str], tokenizer: Tokenizer) -> tuple[np.ndarray, np.ndarray]:
    """Return the ids of all sentences end to end, int32, and the length of each, int64."""
    parts = [np.zeros(0, np.int32)]
    lengths = np.zeros(len(sentences), np.int64)
    ends = np.cumsum([len(s) for s in sentences])
    start = 0
    while start < len(sentences):
        taken = ends[start - 1] if start else 0
        end = max(start + 1, int(np.searchsorted(ends, taken + ENCODE_CHARS, side="right")))
        ids = tokenizer.encode_batch(sentences[start:end])
        lengths[start:end] = [len(x) for x in ids]
        parts.append(np.fromiter(chain.from_iterable(ids), np.int32, lengths[start:end].sum()))
        start = end
    return np.concatenate(parts), lengths


def _of_chinese(languages: list[str], document_of: np.ndarray) -> np.ndarray:
    """Return the indices of the sentences whose document is Chinese."""
    chinese = np.array([name == "zh" for name in languages], bool)
    return np.flatnonzero(chinese[document_of])


def _digests(texts: Iterable[str]) -> np.ndarray:
    digests = b"".join(hashlib.sha256(t.encode()).digest()[:DIGEST_BYTES] for t in texts)
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
