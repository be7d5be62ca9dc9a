"""Exact match and F1 of answers, as SQuAD counts them (evaluate-v2.0.py).

All scores lie between 0 and 1. The script of SQuAD 1.1 differs in one thing: a reference of which
normalisation leaves nothing, such as "the", stays a reference there.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

import numpy as np

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")


def normalize(text: str) -> str:
    """`text` in lower case, without ASCII punctuation and articles, one space between words."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(prediction: str, answers: Sequence[str]) -> float:
    """1 if the prediction equals a reference once both are normalised, else 0.

    No references: the question has no answer, and an empty prediction is right.
    """
    found = normalize(prediction)
    return float(any(found == reference for reference in _references(answers)))


def f1(prediction: str, answers: Sequence[str]) -> float:
    """The best F1 of the words shared with one reference; see `exact_match` for no references."""
    words = normalize(prediction).split()
    return max(_f1(words, reference.split()) for reference in _references(answers))


def _references(answers: Sequence[str]) -> list[str]:
    normalized = map(normalize, answers)
    return [answer for answer in normalized if answer] or [""]


def _f1(found: list[str], wanted: list[str]) -> float:
    if not found or not wanted:
        return float(found == wanted)
    shared = sum((Counter(found) & Counter(wanted)).values())
    return 2 * shared / (len(found) + len(wanted))


def best_threshold(
    scores: np.ndarray, answerable: np.ndarray, margins: np.ndarray
) -> tuple[float, float]:
    """The mean score that the best threshold for "no answer" gives, and that threshold.

    A question is left unanswered where its margin exceeds the threshold. Only margins that occur,
    and one below all of them, are tried; among equals the lowest wins.

    Args:
        scores: float [E], of each prediction before any is taken back.
        answerable: bool [E], whether the question has an answer. Where it has none, taking the
            prediction back scores 1.
        margins: float [E], by how much "no answer" leads.
    """
    order = np.argsort(margins, kind="stable")
    margins = np.asarray(margins, np.float64)[order]
    gains = (np.asarray(scores, np.float64) - ~np.asarray(answerable, bool))[order]
    totals = np.concatenate([[0.0], np.cumsum(gains)])
    thresholds = np.concatenate([[margins[0] - 1.0], margins])
    # Equal margins are answered together, so only the last of them can be a threshold.
    possible = np.append(thresholds[:-1] < thresholds[1:], True)
    best = int(np.argmax(np.where(possible, totals, -np.inf)))
    unanswerable = len(gains) - int(np.sum(answerable))
    return float(totals[best] + unanswerable) / len(gains), float(thresholds[best])
