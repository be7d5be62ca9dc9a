"""Soups: models whose weights, not their scores, are averaged (Wortsman et al. 2022).

Models of a soup began with the same weights, head included: the mean of networks that began apart
is no network that either learnt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from bertjax import model
from bertjax.tree import flatten, unflatten


def average(many: Iterable[model.Params]) -> model.Params:
    """The mean of each parameter over models, of their type; the sum is in double precision."""
    total: dict[str, np.ndarray] = {}
    types: dict[str, np.dtype] = {}
    count = 0
    for params in many:
        count += 1
        for path, leaf in flatten(params).items():
            array = np.asarray(leaf)
            types[path] = array.dtype
            wide = array.astype(np.float64)
            total[path] = total[path] + wide if path in total else wide
    return unflatten({path: (leaf / count).astype(types[path]) for path, leaf in total.items()})


def greedy(singles: Sequence[float], score: Callable[[tuple[int, ...]], float]) -> tuple[int, ...]:
    """The models of the greedy soup: recipe 1 of the paper.

    Models come by their own held-out score, the best one first and the first one of equals; each
    stays in the soup if the soup's score is then not lower. (mlfoundations/model-soups asks for a
    higher one, so that equal models stay out there.)

    Args:
        singles: the held-out score of each model.
        score: that of the average of some models, whose numbers ascend.
    """
    order = sorted(range(len(singles)), key=lambda i: -singles[i])
    chosen: tuple[int, ...] = (order[0],)
    best = singles[order[0]]
    for i in order[1:]:
        tried = tuple(sorted((*chosen, i)))
        value = score(tried)
        if value >= best:
            chosen, best = tried, value
    return chosen
