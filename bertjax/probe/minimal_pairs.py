"""Minimal pairs: does the model find the acceptable sentence of two more likely (BLiMP)?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bertjax.errors import UserError
from bertjax.text.account import Account, Problem
from bertjax.text.delimited import Form
from bertjax.text.inputs import find_inputs
from bertjax.text.records import reach, read_records

GOOD, BAD = "sentence_good", "sentence_bad"  # fields of BLiMP's and ZhoBLiMP's files
_PARADIGM = "UID"
_PHENOMENA = ("linguistics_term", "phenomenon")


@dataclass(frozen=True)
class Pair:
    """An acceptable sentence and one that is not."""

    good: str
    bad: str
    paradigm: str  # pairs of one template; "" where the file does not say
    phenomenon: str  # what it tests


def read_pairs(path: str) -> list[Pair]:
    """Read a table with the fields `sentence_good` and `sentence_bad`.

    Its fields `UID` (the paradigm) and `linguistics_term` or `phenomenon` are taken where it has
    them (alexwarstadt/blimp data/*.jsonl; sjtu-compling/ZhoBLiMP).

    Raises:
        UserError: no such file or fields, no pairs, or a blank sentence.
    """
    account = Account(skip=False, hint="; correct the row or remove it")
    pairs = []
    for source in find_inputs(path, GOOD, account):
        for place, fields in read_records(source, (GOOD, BAD), Form(), account).rows:
            try:
                if isinstance(fields, Problem):
                    raise fields
                pairs.append(_pair(fields))
            except Problem as problem:
                account.leave(place, problem)
    if not pairs:
        raise UserError(f"{path}: holds no pairs; each row needs the fields {GOOD} and {BAD}")
    return pairs


def _pair(fields: Mapping[str, Any]) -> Pair:
    good, bad = (_sentence(fields, name) for name in (GOOD, BAD))
    phenomenon = next((str(fields[name]) for name in _PHENOMENA if name in fields), "")
    return Pair(good, bad, str(fields.get(_PARADIGM, "")), phenomenon)


def _sentence(fields: Mapping[str, Any], name: str) -> str:
    value = reach(fields, name)
    if not isinstance(value, str) or not value.strip():
        raise Problem("no sentence", f"{name} is {value!r}, not a sentence")
    return value


@dataclass(frozen=True)
class Accuracy:
    """Shares of pairs whose acceptable sentence scores higher; a tie counts as an error."""

    paradigms: dict[str, float]
    phenomena: dict[str, float]  # means over their paradigms
    mean: float  # over all paradigms


def accuracy(pairs: Sequence[Pair], good: np.ndarray, bad: np.ndarray) -> Accuracy:
    """Accuracy by paradigm from the scores [N] of both sentences (Warstadt et al. 2020, 5)."""
    right: dict[tuple[str, str], list[bool]] = {}
    for pair, wins in zip(pairs, good > bad, strict=True):
        right.setdefault((pair.phenomenon, pair.paradigm), []).append(bool(wins))
    of_paradigm = {key: float(np.mean(wins)) for key, wins in sorted(right.items())}
    of_phenomenon: dict[str, list[float]] = {}
    for (phenomenon, _), share in of_paradigm.items():
        of_phenomenon.setdefault(phenomenon, []).append(share)
    return Accuracy(
        {paradigm: share for (_, paradigm), share in of_paradigm.items()},
        {name: float(np.mean(shares)) for name, shares in of_phenomenon.items()},
        float(np.mean(list(of_paradigm.values()))),
    )
