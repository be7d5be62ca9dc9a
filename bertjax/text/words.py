"""Where words begin among tokens, for whole-word masking. Ids are never changed."""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bertjax.errors import UserError

if TYPE_CHECKING:
    from bertjax.text.tokenizer import Tokenizer

# The code points that google-research/bert tokenization.py (_is_chinese_char) splits on.
CJK_RANGES = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)


def is_cjk(char: str) -> bool:
    """Whether BERT's tokenizer makes this character a token of its own."""
    code = ord(char)
    return any(low <= code <= high for low, high in CJK_RANGES)


def word_starts_table(pieces: Sequence[str], special: set[int]) -> np.ndarray:
    """Which vocabulary ids begin a word: bool [V].

    - A vocabulary with `##` pieces is WordPiece: all but those begin a word (google-research/bert
      create_pretraining_data.py).
    - One with `▁` (SentencePiece) or `Ġ` (byte-level BPE) pieces: those with the mark begin a
      word, and so do punctuation and CJK characters, which have no space before them
      (google-research/albert create_pretraining_data.py, without its a-z restriction).
    - Special tokens begin a word. A vocabulary without any mark has only whole words.
    """
    if any(piece.startswith("##") and len(piece) > 2 for piece in pieces):
        starts = [not (piece.startswith("##") and len(piece) > 2) for piece in pieces]
    elif any(piece.startswith(("▁", "Ġ")) for piece in pieces):
        starts = [_begins_after_space(piece) for piece in pieces]
    else:
        starts = [True] * len(pieces)
    table = np.array(starts, bool)
    table[sorted(special)] = True
    return table


def _begins_after_space(piece: str) -> bool:
    if piece.startswith(("▁", "Ġ", "Ċ")):
        return True
    return all(unicodedata.category(c)[0] == "P" for c in piece) or is_cjk(piece[:1] or " ")


def chinese_word_starts(sentence: str, tokenizer: Tokenizer) -> np.ndarray:
    """Which tokens of a Chinese sentence begin a word, by jieba's segmentation: bool [n].

    Only tokens of CJK characters are decided by jieba: such a token begins a word if its
    character does. All others keep their vocabulary's flag. The words are found in the raw
    sentence and aligned by character offsets, as ymcui/Chinese-BERT-wwm does (issue 13), and
    never by tokenizing words, which would change ids.

    Raises:
        UserError: jieba is not installed.
    """
    ids, offsets = tokenizer.encode_with_offsets(sentence)
    flags = tokenizer.starts_word[ids]
    words: set[int] = {start for _, start, _ in _segmenter().tokenize(sentence)}
    for i, (start, end) in enumerate(offsets):
        if start < end and is_cjk(sentence[start]):
            flags[i] = start in words
    return flags


@functools.cache
def _segmenter() -> Any:
    try:
        import jieba
    except ImportError:
        raise UserError(
            "Chinese words need jieba, which is not installed: pip install 'bertjax[zh]', or "
            "build with --language en, which makes every character a word"
        ) from None
    jieba.setLogLevel("ERROR")  # it reports loading its dictionary as if that were an event
    segmenter = jieba.Tokenizer()
    segmenter.initialize()
    return segmenter
