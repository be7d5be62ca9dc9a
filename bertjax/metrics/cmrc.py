"""Exact match and F1 of Chinese answers (ymcui/cmrc2018, squad-style-data/cmrc2018_evaluate.py).

Chinese counts by character and everything else by word. All scores lie between 0 and 1.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

# What the script leaves out: other marks, `‘`, `.` and `…` among them, stay.
_DROPPED = str.maketrans("", "", "-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")

# The script has NLTK's Treebank tokenizer cut what is not Chinese. These are its rules for text in
# lower case: a word keeps the marks inside it and its full stop, unless that ends the stretch;
# clitics and other marks stand alone.
_STOP = r"\.(?!\.)(?!(?<=\.\.)|[\])}>\"']*\s*(?:$|[一-龥]))"
_LETTER = rf"(?:[^\s;@#$%&?!\"'()\[\]{{}}<>,.“”‘’«»–—一-龥]|{_STOP})"
_CLITIC = rf"'(?:s|m|d|ll|re|ve)(?!{_LETTER})"
_SEGMENT = re.compile(
    rf"[一-龥]|{_LETTER}+?(?=n't(?!{_LETTER}))|n't(?!{_LETTER})|{_CLITIC}"
    rf"|{_LETTER}+(?:(?:,(?=\d)|(?!{_CLITIC})'){_LETTER}+)*|\.{{2,}}|\S"
)


def segments(text: str) -> list[str]:
    """The characters of Chinese and the words of all else, in lower case, without punctuation."""
    return _SEGMENT.findall(_bare(text))


def exact_match(prediction: str, answers: Sequence[str]) -> float:
    """1 if the prediction equals a reference, case and punctuation aside, else 0."""
    found = _bare(prediction)
    return float(any(found == _bare(answer) for answer in answers))


def f1(prediction: str, answers: Sequence[str]) -> float:
    """The best F1 over references: segments of the longest run shared, against all segments."""
    found = segments(prediction)
    return max((_f1(found, segments(answer)) for answer in answers), default=0.0)


def _bare(text: str) -> str:
    return text.lower().strip().translate(_DROPPED)


def _f1(found: list[str], wanted: list[str]) -> float:
    return 2 * _longest_run(found, wanted) / max(1, len(found) + len(wanted))


def _longest_run(one: list[str], two: list[str]) -> int:
    """Length of the longest run of consecutive segments that both have."""
    longest, ending = 0, [0] * (len(two) + 1)  # at j: length of the run that ends before two[j]
    for segment in one:
        ending = [0] + [ending[j] + 1 if segment == other else 0 for j, other in enumerate(two)]
        longest = max(longest, *ending)
    return longest
