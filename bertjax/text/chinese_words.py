"""Where the words of Chinese start, which only the sentence can tell: jieba's segmentation."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Sequence
from types import ModuleType

import numpy as np

from bertjax.errors import UserError
from bertjax.text.tokenizer import Tokenizer
from bertjax.text.words import METASPACE, is_cjk


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
