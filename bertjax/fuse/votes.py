"""Votes: of classes by majority, of entities by how many models found them.

Axis letters: M models, R rows, C classes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from bertjax.metrics.entities import Span

_TIE = 1e-9  # the share of the mean probability in a score: it decides between equal votes only


def majority(chosen_MR: np.ndarray, values_MRC: np.ndarray) -> np.ndarray:
    """The share of the models that predict each class, float64 [R, C].

    Among classes of as many votes the one of the highest mean probability is ahead, by a billionth
    of that.

    Args:
        chosen_MR: the class that each model predicts; -1: none.
        values_MRC: the models' probabilities.
    """
    votes_MRC = chosen_MR[..., None] == np.arange(values_MRC.shape[-1])
    return (1 - _TIE) * votes_MRC.mean(axis=0) + _TIE * values_MRC.mean(axis=0)


def elect_spans(
    found: Sequence[Sequence[Span]],
    least: int,
    probability: Callable[[Span], float],
    *,
    apart: bool = False,
) -> list[Span]:
    """The entities that at least `least` models found, in ascending order.

    Of two that overlap the one with more votes stays, then the one of the higher `probability`,
    then the longer one, then the first one.

    Args:
        found: what each model found in one sentence.
        least: 1 keeps the union of all, the number of models their intersection.
        probability: by the models together, of an entity.
        apart: also entities of one type that touch cannot both stay (IO tags would join them).
    """
    votes = Counter(span for spans in found for span in set(spans))
    candidates = [span for span, count in votes.items() if count >= least]
    candidates.sort(key=lambda s: (-votes[s], -probability(s), s[0] - s[1], s))
    kept: list[Span] = []
    for span in candidates:
        if not any(_collide(span, other, apart) for other in kept):
            kept.append(span)
    return sorted(kept)


def _collide(a: Span, b: Span, apart: bool) -> bool:
    first, second = sorted((a, b))
    reach = first[1] + (apart and a[2] == b[2])
    return second[0] < reach
