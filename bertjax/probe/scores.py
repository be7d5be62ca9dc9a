"""What a probe measures of one model, in the form that comparisons of models take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True, eq=False)
class Scores:
    """One number an example, and what they mean.

    The headline is the mean of the values by weight. The same examples in the same order have the
    same weights under every model with the same tokenizer, so that differences are those of
    examples.
    """

    name: str  # of the probe and what it measures, as blimp/accuracy
    values: np.ndarray  # float64 [N]
    unit: str  # as in "better by 0.012 nats a piece"
    better: str  # high | low
    groups: Sequence[str] = ()  # of each example; none: all are alike
    weights: np.ndarray = field(default_factory=lambda: np.ones(0))  # float64 [N]; none: equal

    def __post_init__(self) -> None:
        assert self.better in ("high", "low"), self.better
        if not len(self.weights):
            object.__setattr__(self, "weights", np.ones(len(self.values)))
        assert self.values.shape == self.weights.shape == (len(self.values),), self.name
        assert len(self.groups) in (0, len(self.values)), self.name

    @classmethod
    def ratio(
        cls, name: str, totals: np.ndarray, sizes: np.ndarray, unit: str, better: str
    ) -> Scores:
        """Of sums: the totals [N] of all examples over their sizes [N], some of which may be 0."""
        return cls(name, totals / sizes.mean(), unit, better)

    @property
    def headline(self) -> float:
        """The number to report."""
        return float(np.average(self.values, weights=self.weights))

    @property
    def contributions(self) -> np.ndarray:
        """Float64 [N] whose plain mean is the headline: what `statistics.two_way_t` takes."""
        return self.values * (self.weights / self.weights.mean())

    def by_group(self) -> dict[str, float]:
        """The mean of each group by weight, in the order of names."""
        names, group_of = np.unique(np.array(self.groups, object), return_inverse=True)
        totals = np.bincount(group_of, self.values * self.weights, len(names))
        weights = np.bincount(group_of, self.weights, len(names))
        return dict(zip(names.tolist(), (totals / weights).tolist(), strict=True))
