"""Sentence ends by rule, so that the same text always splits alike.

Marks of other scripts, such as the Devanagari danda or the Arabic question mark, end a sentence
wherever they stand; full stops are judged by English rules, in Chinese text as well.
"""

from __future__ import annotations

import re

import numpy as np

# Longer stretches without a stop are tables, lists or code; cutting them bounds the tokenizer.
MAX_SENTENCE_CHARS = 10_000

_CJK_SHARE = 0.2  # of the characters; Chinese with many numbers and names stays above it

_CLOSERS = "\"'”’»)\\]}」』）】》〉"
# Unicode's property Sentence_Terminal and the Tibetan shads, without ASCII's, the one-dot leader,
# the full-width stop, which is a decimal point as well, and scripts beyond the first plane.
_TERMINAL = (
    "\u0589\u061d-\u061f\u06d4\u0700-\u0702\u07f9\u0837\u0839\u083d\u083e\u0964\u0965\u0f0d\u0f0e"
    "\u104a\u104b\u1362\u1367\u1368\u166e\u1735\u1736\u17d4\u17d5\u1803\u1809\u1944\u1945"
    "\u1aa8-\u1aab\u1b4e\u1b4f\u1b5a\u1b5b\u1b5e\u1b5f\u1b7d-\u1b7f\u1c3b\u1c3c\u1c7e\u1c7f\u203c\u203d"
    "\u2047-\u2049\u2cf9-\u2cfb\u2e2e\u2e3c\u2e53\u2e54\u2e60\u2e61\u3002\ua4ff\ua60e\ua60f\ua6f3\ua6f7"
    "\ua876\ua877\ua8ce\ua8cf\ua92f\ua9c8\ua9c9\uaa5d-\uaa5f\uaaf0\uaaf1\uabeb\ufe12\ufe15\ufe16\ufe52"
    "\ufe56\ufe57\uff01\uff1f\uff61"
)
_TERMINAL_END = re.compile(rf"[{_TERMINAL}]+[{_CLOSERS}]*")
_CHINESE_END = re.compile(rf"[{_TERMINAL}；…!?]+[{_CLOSERS}]*")

_OPENING = "\"'“‘«([{¿¡—–-"
# A run of stops, its closing quotes or brackets, a space, and the next word. The look-behind and
# the possessive repeats keep a line of a million dots from costing its square.
_ENGLISH_END = re.compile(
    rf"(?<![.!?…])([.!?…]++)([{_CLOSERS}]*+)\s++(?=[{re.escape(_OPENING)}]*+(\w+))"
)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Abbreviations after which a name or number follows: their stop never ends a sentence.
_BEFORE_NAME = _words(
    "mr mrs ms mx messrs dr prof rev fr sr st mt ft gen col maj capt cmdr lt sgt cpl adm gov sen "
    "rep pres hon supt insp vs v cf viz e.g i.e ca approx al ed eds trans dept univ"
)
# Abbreviations before a number only: "No. 5", "pp. 3", "Jan. 7".
_BEFORE_NUMBER = _words(
    "no nos vol vols fig figs ch chap sec p pp pt art eq eqs op c b d r fl jan feb mar apr jun jul "
    "aug sep sept oct nov dec"
)
# Words that so often begin a sentence that a stop before them counts as its end.
_OPENERS = _words(
    "The A An He She It They We You I In On At By For From With As If When While After Before "
    "Although However This That These Those There But And His Her Its Their Our My Since During "
    "Some Many Most One Both Other Another According"
)
# These, initials ("J.") and dotted letters ("U.S.") end a sentence only before an opener.
_MAY_END = _words("inc ltd co corp jr etc bros esq a.m p.m b.c a.d ph.d")


def language_of(text: str) -> str:
    """Return `zh` where at least a fifth of the characters are CJK ideographs, else `en`."""
    if text.isascii():
        return "en"
    units = np.frombuffer(text.encode("utf-16-le", "surrogatepass"), "<u2")
    # Unsigned, so what lies below the range wraps to above it. U+3400 to U+9FFF: both blocks of
    # common ideographs.
    ideographs = np.count_nonzero(units - np.uint16(0x3400) < 0x6C00)
    return "zh" if ideographs >= _CJK_SHARE * len(text) else "en"


def split_sentences(text: str, language: str) -> list[str]:
    """Split `text` into stripped sentences; every character that is no space is in one of them.

    Line breaks always end a sentence. `language` is `en` or `zh`.
    """
    return [text[start:end] for start, end in sentence_spans(text, language)]


def sentence_spans(text: str, language: str) -> list[tuple[int, int]]:
    """The characters [start, end) of each sentence that `split_sentences` gives."""
    ends = _chinese_ends if language == "zh" else _english_ends
    spans: list[tuple[int, int]] = []
    offset = 0
    for line in text.split("\n"):
        start = 0
        for end in (*ends(line), len(line)):
            kept = line[start:end].strip()
            if kept:
                begin = offset + line.index(kept, start)  # there, as it does not begin with space
                if len(kept) <= MAX_SENTENCE_CHARS:
                    spans.append((begin, begin + len(kept)))
                else:
                    spans += [(begin + a, begin + b) for a, b in _bounded(kept)]
            start = end
        offset += len(line) + 1
    return spans


def _chinese_ends(line: str) -> list[int]:
    ends = [match.end() for match in _CHINESE_END.finditer(line)]
    stops = (
        match.end(2)
        for match in (_ENGLISH_END.finditer(line) if "." in line else ())
        # 1. and 2. number the items of a list here.
        if line[match.start() - 1].isalpha()
        and _ends_sentence(line, match.start(), match[1], match[3])
    )
    return sorted({*ends, *stops})


def _english_ends(line: str) -> list[int]:
    ends = [
        match.end(2)
        for match in _ENGLISH_END.finditer(line)
        if _ends_sentence(line, match.start(), match[1], match[3])
    ]
    if line.isascii() or not (more := [match.end() for match in _TERMINAL_END.finditer(line)]):
        return ends
    return sorted({*ends, *more})


def _ends_sentence(line: str, position: int, stop: str, following: str) -> bool:
    """Judge a stop at `position` by the word before it and the word `following`."""
    if following[0].islower():
        return False
    if stop != ".":
        return True
    low = max(0, position - 40)  # forty characters hold any abbreviation
    word = line[max(low, line.rfind(" ", low, position) + 1) : position].lstrip(_OPENING)
    lowered = word.lower()
    if lowered in _BEFORE_NAME:
        return False
    if lowered in _BEFORE_NUMBER and following[0].isdigit():
        return False
    initial = len(word) == 1 and word.isupper()
    dotted = "." in word and not word[-1].isdigit()
    if initial or dotted or lowered in _MAY_END:
        return following in _OPENERS
    return True


def _bounded(sentence: str) -> list[tuple[int, int]]:
    """Cut a sentence at spaces, or where there are none anywhere, to bounded length."""
    spans, start = [], 0
    while len(sentence) - start > MAX_SENTENCE_CHARS:
        space = sentence.rfind(" ", start, start + MAX_SENTENCE_CHARS)
        cut = space if space > start else start + MAX_SENTENCE_CHARS
        spans.append((start, start + len(sentence[start:cut].rstrip())))
        start = len(sentence) - len(sentence[cut:].lstrip())
    if start < len(sentence):
        spans.append((start, len(sentence)))
    return spans
