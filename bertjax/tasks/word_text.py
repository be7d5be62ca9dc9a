"""The text of entities: as the text has it, or else of the words as their script joins them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from bertjax.metrics.entities import Span

# Scripts that put no spaces between words: ideographs, kana, Thai, Lao, Burmese, Khmer.
_NO_SPACES = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3000-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\uff00-\uff65]"
)


def text_of_words(words: Sequence[str], source: str, entities: Sequence[Span]) -> list[str]:
    """The text of each entity, words [start, end), in a `source` that has all words in order.

    Where it has not, as for words that a treebank takes apart, words are joined by spaces, but
    not beside a character of a script that has none.
    """
    places = _places(words, source) if source else None
    if places is not None:
        return [source[places[start][0] : places[end - 1][1]] for start, end, _ in entities]
    return [_joined(words[start:end]) for start, end, _ in entities]


def _places(words: Sequence[str], source: str) -> list[tuple[int, int]] | None:
    found, position = [], 0
    for word in words:
        start = source.find(word, position)
        if start < 0 or source[position:start].strip():
            return None
        position = start + len(word)
        found.append((start, position))
    return found


def _joined(words: Sequence[str]) -> str:
    text = words[0]
    for before, word in pairwise(words):
        tight = _NO_SPACES.match(before[-1]) or _NO_SPACES.match(word[0])
        text += word if tight else f" {word}"
    return text
