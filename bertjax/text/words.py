"""Where words start: a table over the vocabulary, and jieba for Chinese.

Word starts are flags beside the ids; nothing here can change an id. A token that does not start a
word belongs to the word of the token before it. The rules, by how a vocabulary marks words:

* `##` (WordPiece): every piece without the mark starts a word, as in whole-word masking of
  google-research/bert `create_pretraining_data.py`; punctuation and CJK characters have no mark.
* `▁` (SentencePiece) and `Ġ` (byte-level BPE): a piece starts a word if it has the mark, or if
  its first character is punctuation, a symbol or a CJK ideograph. ALBERT's rule
  (google-research/albert) also makes every piece outside a-z a start; this one leaves pieces of
  other alphabets inside their words. A byte-level piece that begins inside a character never
  starts a word.
"""

from __future__ import annotations

import functools
import re
import unicodedata
import warnings
from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
from tokenizers import decoders

from bertjax.errors import UserError

if TYPE_CHECKING:
    from bertjax.text.tokenizer import Tokenizer

# The blocks that google-research/bert tokenization.py splits into single characters.
CJK = re.compile(
    "[\u4e00-\u9fff\u3400-\u4dbf\U00020000-\U0002a6df\U0002a700-\U0002ceaf"
    "\uf900-\ufaff\U0002f800-\U0002fa1f]"
)

WORDPIECE, METASPACE, BYTE_LEVEL = "##", "▁", "Ġ"  # the marks, which also name the schemes


def word_starts_table(pieces: Sequence[str], mark: str, always: Iterable[int]) -> np.ndarray:
    """Return bool [V]: does the piece with this id begin a word?

    `mark` is the vocabulary's scheme, one of `##`, `▁`, `Ġ`; the ids `always` (special tokens)
    start a word however they are spelled.
    """
    if mark == WORDPIECE:
        starts = [not piece.startswith(WORDPIECE) for piece in pieces]
    else:
        starts = [_starts_word(text) for text in _as_text(pieces, mark)]
    table = np.array(starts, bool)
    table[list(always)] = True
    return table


def white_table(pieces: Sequence[str], mark: str) -> np.ndarray:
    """Return bool [V]: is the piece with this id white space, or the mark of a word, alone?"""
    if mark == WORDPIECE:
        return np.zeros(len(pieces), bool)
    return np.array([text.isspace() for text in _as_text(pieces, mark)], bool)


def _as_text(pieces: Sequence[str], mark: str) -> list[str]:
    if mark == METASPACE:
        return [piece.replace(METASPACE, " ") for piece in pieces]
    byte_level = decoders.ByteLevel()
    return [byte_level.decode([piece]) for piece in pieces]


def _starts_word(text: str) -> bool:
    first = text[:1]
    if not first or first == "\ufffd":  # U+FFFD: not a whole character
        return False
    # P and S: BERT counts ASCII symbols such as $ and ~ as punctuation, which Unicode does not.
    return first.isspace() or unicodedata.category(first)[0] in "PS" or is_cjk(first)


def is_cjk(character: str) -> bool:
    """Say whether BERT makes this character a token of its own (ideographs; not kana, hangul)."""
    return CJK.match(character) is not None


def chinese_word_starts(
    text: str, ids: Sequence[int], offsets: Sequence[tuple[int, int]], tokenizer: Tokenizer
) -> np.ndarray:
    """Return bool [n], a flag for each of the ids that `tokenizer` makes of `text`.

    `offsets` are the characters [start, end) of each. A token of CJK characters starts a word if
    jieba starts one at its first character; any other token keeps its flag of
    `tokenizer.starts_word`. Raises `UserError` if jieba is missing.
    """
    starts = tokenizer.starts_word[list(ids)]
    words: set[int] | None = None
    for i, (begin, end) in enumerate(offsets):
        if begin < end and is_cjk(text[begin]) and tokenizer.token(ids[i]) != METASPACE:
            words = _jieba_starts(text) if words is None else words
            starts[i] = begin in words
    return starts


def _jieba_starts(text: str) -> set[int]:
    return {start for _, start, _ in _jieba().tokenize(text)}


@functools.cache
def _jieba() -> ModuleType:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its source holds escapes that Python deprecates
            import jieba
    except ImportError:
        raise UserError(
            "Chinese text, but jieba, which finds its words, is not installed: "
            "pip install 'bertjax[zh]'"
        ) from None
    jieba.setLogLevel("WARNING")  # it reports the loading of its dictionary otherwise
    return jieba
