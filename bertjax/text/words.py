"""Where words start, as a table over the vocabulary.

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

import re
import unicodedata
from collections.abc import Iterable, Sequence

import numpy as np
from tokenizers import decoders

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
