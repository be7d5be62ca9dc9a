"""Single values of a label column: which are missing, which are the same, how they are spelt."""

from __future__ import annotations

import json
import math
import numbers
import re
import unicodedata
from ast import literal_eval
from typing import Any

import numpy as np

from bertjax.text.account import Problem

_NUMBER = re.compile(r"[-+]?(0|[1-9]\d*)(\.\d*)?([eE][-+]?\d+)?")  # 007 is a code and no number
_LONGEST_NUMBER = 400  # characters: floats end at 309 digits, and Python reads 4,300 of an integer
_NULLS = {"nan", "null", "n/a", "#n/a", "<na>", "nat", r"\n"}  # what libraries write for no value
_TRUTH = {"true": "1", "false": "0"}
_SPACES = re.compile(r"\s+")
# Characters without a width or a shape: soft hyphen, grapheme joiner, zero-width space, marks of
# direction, word joiner, byte order mark. Joiners (200C, 200D) shape words and emoji: kept inside.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u034f\u180e\u200b\u200e\u200f\u202a-\u202e"
    "\u2060-\u2069\ufeff]"
)
_LIST = re.compile(r"\s*[\[({].*[\])}]\s*", re.DOTALL)
_CALL = re.compile(
    r"\s*(?:set|frozenset|array|list|tuple)\(\s*([\[({].*[\])}])?\s*(?:,\s*dtype=\w+\s*)?\)\s*",
    re.DOTALL,
)
_END = re.compile(r"\s*\Z")
_ITEM = re.compile(r"""\s*(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|([^\s,'"\[\]{}()]+))\s*,?""")


def visible(text: str) -> str:
    """A text without what cannot be seen: composed (NFC), one space between words."""
    shown = _INVISIBLE.sub("", unicodedata.normalize("NFC", text))
    return _SPACES.sub(" ", shown).strip(" \u200c\u200d")


def is_missing(value: Any) -> bool:
    """Whether a value is none: null, NaN, blank, or what libraries write for these."""
    if value is None:
        return True
    if isinstance(value, str):
        shown = visible(value)
        return not shown or shown.lower() in _NULLS
    return isinstance(value, numbers.Real) and value != value  # NaN


def is_bool(value: Any) -> bool:
    """Whether a value is true or false, of Python or NumPy."""
    return isinstance(value, bool | np.bool_)


def is_number(value: Any) -> bool:
    """Whether a value is a number, or a text that spells one."""
    if isinstance(value, str):
        shown = visible(value)
        return len(shown) <= _LONGEST_NUMBER and _NUMBER.fullmatch(shown) is not None
    return isinstance(value, numbers.Number) and not is_bool(value)


def spelt(value: Any) -> str:
    """How a label is written: numbers that are equal alike. Raises `Problem` for what is none."""
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    if isinstance(value, str):
        return visible(value)
    if is_bool(value):
        return str(value).lower()
    if isinstance(value, numbers.Number):
        return spelt_number(value)
    raise Problem("without a label", f"a label that is {_kind(value)}, not text or a number")


def spelt_number(value: Any) -> str:
    """1 for 1, 1.0 and "1.00"; 0.5 for a half."""
    number = float(visible(value)) if isinstance(value, str) else value
    if isinstance(value, str) and re.fullmatch(r"[-+]?\d+", visible(value)):
        return str(int(visible(value)))  # however long it is
    if isinstance(number, numbers.Integral):
        return str(int(number))
    whole = math.isfinite(number) and number == int(number)
    return str(int(number)) if whole else repr(float(number))


def key_of(label: str) -> str:
    """What one label has in common in all files: its number, or its truth as 1 or 0.

    What JSON writes as true is True to pandas, TRUE in a spreadsheet, and 1 in a column of classes.
    """
    if is_number(label):
        return spelt_number(label)
    shown = visible(label)
    return _TRUTH.get(shown.lower(), shown)


def as_list(value: Any) -> list[Any] | None:
    """The items of a list, also of one that was written as text; None for any other value.

    Python's, JSON's and NumPy's ways to write one are read: `['a', 'b']`, `["a"]`, `[0 1]`,
    `set()`, `array([0, 1])`.
    """
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, list | tuple | set | frozenset):
        return list(value)
    if not isinstance(value, str):
        return None
    if call := _CALL.fullmatch(value):
        value = call[1] or "[]"
    return _items(value) if _LIST.fullmatch(value) else None


def _items(text: str) -> list[Any] | None:
    """The items of a flat list in brackets; None where it is none, or was shortened to fit."""
    inner, position = text.strip()[1:-1], 0
    found: list[Any] = []
    while not _END.match(inner, position):
        match = _ITEM.match(inner, position)
        if not match:
            return None
        bare = match[3]
        if bare is not None and not (
            text.lstrip()[0] == "[" and (_NUMBER.fullmatch(bare) or bare in _WORDS)
        ):
            return None
        found.append(_WORDS.get(bare, bare) if bare else _unescaped(match[0].strip(" ,\t\r\n")))
        position = match.end()
    return found


_WORDS = {"True": True, "False": False, "true": True, "false": False, "None": None, "null": None}
_WORDS |= {"nan": None, "NaN": None}


def _unescaped(literal: str) -> str:
    for read in (json.loads, literal_eval):
        try:
            return str(read(literal))
        except (ValueError, SyntaxError):
            continue
    return literal[1:-1]


def _kind(value: Any) -> str:
    kinds: dict[type, str] = {list: "a list", dict: "an object"}
    return kinds.get(type(value), f"of type {type(value).__name__}")
