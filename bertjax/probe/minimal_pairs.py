"""Minimal pairs: does the model find the acceptable sentence of two more likely (BLiMP)?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bertjax.config import ModelConfig
from bertjax.errors import UserError
from bertjax.model import Params
from bertjax.probe.pseudo_likelihood import pseudo_log_likelihoods
from bertjax.probe.scores import Scores
from bertjax.text.account import Account, Problem
from bertjax.text.delimited import Form
from bertjax.text.inputs import find_inputs
from bertjax.text.records import reach, read_records
from bertjax.text.stored import check_text
from bertjax.text.tokenizer import Tokenizer

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
        for place, fields in read_records(source, (GOOD, BAD), Form(settable=False), account).rows:
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
    phenomenon = next((_name(fields, name) for name in _PHENOMENA if name in fields), "")
    return Pair(good, bad, _name(fields, _PARADIGM), phenomenon)


def _name(fields: Mapping[str, Any], name: str) -> str:
    value = str(fields.get(name, ""))
    check_text(value, name)
    return value


def _sentence(fields: Mapping[str, Any], name: str) -> str:
    value = reach(fields, name)
    if not isinstance(value, str) or not value.strip():
        raise Problem("no sentence", f"{name} is {value!r}, not a sentence")
    check_text(value, name)
    return value


def pair_likelihoods(
    cfg: ModelConfig,
    params: Params,
    tokenizer: Tokenizer,
    pairs: Sequence[Pair],
    score: str = "pll",
) -> tuple[np.ndarray, np.ndarray]:
    """`pseudo_log_likelihoods` of the acceptable sentences and of the others, float64 [N] each.

    Many sentences stand in several pairs, and each is scored once.
    """
    sentences = [sentence for pair in pairs for sentence in (pair.good, pair.bad)]
    known, place = np.unique(np.array(sentences, object), return_inverse=True)
    likely = pseudo_log_likelihoods(cfg, params, tokenizer, known.tolist(), score=score)
    good, bad = likely[place].reshape(-1, 2).T
    return good, bad


def pair_scores(name: str, pairs: Sequence[Pair], good: np.ndarray, bad: np.ndarray) -> Scores:
    """1 for each pair whose acceptable sentence is likelier, else 0; a tie is an error.

    NaN where a likelihood is none, as those of a model that diverged are.

    Groups are paradigms. Each weighs the same, however many pairs it has, so that the headline is
    the mean of the paradigms (Warstadt et al. 2020, section 5).

    Args:
        name: of the scores.
        pairs: N of them.
        good: float [N], of the acceptable sentences.
        bad: of the others.
    """
    kinds = [(pair.phenomenon, pair.paradigm) for pair in pairs]
    sizes = Counter(kinds)
    weights = np.array([1 / sizes[kind] for kind in kinds])
    groups = [pair.paradigm for pair in pairs]
    right = np.where(np.isnan(good) | np.isnan(bad), np.nan, good > bad)
    return Scores(name, right, "of the pairs", "high", groups, weights)


def by_phenomenon(pairs: Sequence[Pair], scores: Scores) -> dict[str, Scores]:
    """The scores of each phenomenon's pairs; their headline is the mean of its paradigms."""
    found = {}
    for name in sorted({pair.phenomenon for pair in pairs}):
        mine = np.array([pair.phenomenon == name for pair in pairs])
        groups = [pair.paradigm for pair in pairs if pair.phenomenon == name]
        values, weights = scores.values[mine], scores.weights[mine]
        found[name] = replace(scores, name=name, values=values, groups=groups, weights=weights)
    return found
