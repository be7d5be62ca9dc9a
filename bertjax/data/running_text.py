"""Documents as the stretches of text that a tokenizer is given at once.

A vocabulary that marks spaces has other ids for a sentence alone than for the sentence in its
text: `The` and `ĠThe`. So a text is cut only before white space where the parts give the ids of the
whole, and each sentence takes the white space before it along. Where sentences meet otherwise, as
in Chinese, they stay together, and offsets say which ids are whose. WordPiece sees no spaces: its
stretches are the sentences.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, pairwise
from typing import NamedTuple

import numpy as np

from bertjax.text.chinese_words import chinese_word_starts
from bertjax.text.tokenizer import Tokenizer
from bertjax.text.words import WORDPIECE

ENCODE_CHARS = 1 << 16  # text given to the tokenizer at once, which bounds its memory


class Stretch(NamedTuple):
    """Neighbouring sentences of a document, where more than their text has to be known."""

    text: str
    ends: list[int]  # characters at which its sentences end, but for the last
    chinese: bool


Part = str | Stretch  # most are a sentence whose words the pieces tell: its text alone is made fast


def stretches(
    text: str, spans: Sequence[tuple[int, int]], language: str, tokenizer: Tokenizer
) -> list[Part]:
    """Cut a document with the sentences `spans`; what marks spaces gets every character.

    A stretch that reaches `ENCODE_CHARS` is cut at the next sentence whatever is there.
    """
    chinese = language == "zh"
    if tokenizer.mark == WORDPIECE:
        sentences = [text[start:end] for start, end in spans]
        return [Stretch(each, [], True) for each in sentences] if chinese else [*sentences]
    if not spans:
        return []
    found: list[Part] = []
    begin = 0
    ends: list[int] = []
    for (_, end), (start, _) in pairwise(spans):
        spaced = start > end and text[end] in tokenizer.separators
        if spaced or end - begin >= ENCODE_CHARS:
            found.append(_part(text[begin:end], ends, chinese))
            begin, ends = end, []
        else:
            ends.append(end - begin)
    found.append(_part(text[begin:], ends, chinese))
    return found


def _part(text: str, ends: list[int], chinese: bool) -> Part:
    return Stretch(text, ends, chinese) if ends or chinese else text


def encode(
    parts: Sequence[Part], tokenizer: Tokenizer
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The ids of all parts end to end, int32; where sentences and words start.

    Returns ids [n], the first id of each sentence and n, int64 [sentences + 1], and bool [n].
    """
    tokens, lengths, words = [np.zeros(0, np.int32)], [np.zeros(0, np.int64)], [np.zeros(0, bool)]
    for group in _groups(parts):
        simple = [part for part in group if isinstance(part, str)]
        found = tokenizer.encode_batch(simple)
        if len(simple) == len(group):
            sizes = np.array([len(ids) for ids in found], np.int64)
            flat = np.fromiter(chain.from_iterable(found), np.int32, int(sizes.sum()))
            tokens.append(flat)
            lengths.append(sizes)
            words.append(tokenizer.starts_word[flat])
            continue
        plain = iter(found)
        for part in group:
            if isinstance(part, str):
                ids = np.array(next(plain), np.int32)
                sizes, flags = np.array([len(ids)]), tokenizer.starts_word[ids]
            else:
                ids, sizes, flags = _by_offsets(part, tokenizer)
            tokens.append(ids)
            lengths.append(sizes)
            words.append(flags)
    starts = np.concatenate([[0], np.cumsum(np.concatenate(lengths))])
    return np.concatenate(tokens), starts, np.concatenate(words)


def _by_offsets(part: Stretch, tokenizer: Tokenizer) -> tuple[np.ndarray, ...]:
    """Ids, how many of them each sentence has, and which start words.

    An id that reaches from one sentence into the next belongs to the first.
    """
    found, offsets = tokenizer.encode_with_offsets(part.text)
    ids = np.array(found, np.int32)
    begins = np.maximum.accumulate(np.array([begin for begin, _ in offsets], np.int64))
    flags = tokenizer.starts_word[ids]
    if part.chinese:
        flags = chinese_word_starts(part.text, found, offsets, tokenizer)
    return ids, np.diff(np.searchsorted(begins, part.ends), prepend=0, append=len(ids)), flags


def _groups(parts: Sequence[Part]) -> Iterator[Sequence[Part]]:
    """Neighbours of about `ENCODE_CHARS` together, one at least."""
    ends = np.cumsum([len(p) if isinstance(p, str) else len(p.text) for p in parts])
    start = 0
    while start < len(parts):
        taken = ends[start - 1] if start else 0
        end = max(start + 1, int(np.searchsorted(ends, taken + ENCODE_CHARS, side="right")))
        yield parts[start:end]
        start = end
