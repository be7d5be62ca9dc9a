"""Rows that are taken in, and what they weigh."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.semi_supervised import SelfTrainingClassifier

from bertjax.transfer.pseudo_labels import chosen, mass_ratio, row_weights


class Table(ClassifierMixin, BaseEstimator):
    """Says of a row what stands at its number."""

    def __init__(self, rows=None):
        self.rows = rows

    def fit(self, X, y):
        self.classes_ = np.arange(self.rows.shape[1])
        return self

    def predict_proba(self, X):
        return self.rows[X[:, 0].astype(int)]


@given(st.integers(0, 10**6), st.integers(2, 4), st.floats(0.3, 0.95), st.integers(1, 30))
def test_a_round_takes_what_scikit_learn_takes_in_its_first(seed, classes, threshold, best):
    draw = np.random.default_rng(seed)
    rows = softmax(draw.normal(0, 2, (30, classes)), axis=1)
    X = np.arange(30)[:, None]
    y = np.full(30, -1)
    y[:classes] = np.arange(classes)  # labelled, the others are not
    said, sure = rows.argmax(1)[classes:], rows.max(1)[classes:]
    theirs = SelfTrainingClassifier(Table(rows), threshold=threshold, max_iter=1).fit(X, y)
    ours = chosen(said, sure, threshold)
    np.testing.assert_array_equal(ours, theirs.labeled_iter_[classes:] == 1)
    np.testing.assert_array_equal(theirs.transduction_[classes:][ours], said[ours])
    if classes == 2:  # the surest of all: of each class those among them
        k_best = SelfTrainingClassifier(
            Table(rows), criterion="k_best", k_best=min(best, 28), max_iter=1
        ).fit(X, y)
        surest = k_best.labeled_iter_[2:] == 1
        for c in (0, 1):
            count = int(np.sum(surest & (said == c)))
            if count:
                mine = chosen(said, sure, 0.0, count) & (said == c)
                np.testing.assert_array_equal(mine, surest & (said == c))


def test_of_each_class_at_most_so_many_the_surest_first():
    said = np.array([0, 0, 0, 1, 1, 2])
    sure = np.array([0.9, 0.95, 0.9, 0.7, 0.99, 0.5])
    assert chosen(said, sure, 0.6, 1).tolist() == [False, True, False, False, True, False]
    assert chosen(said, sure, 0.6, 2).tolist() == [True, True, False, True, True, False]
    assert chosen(said, sure, 0.0).all()
    assert not chosen(said, sure, 1.0).any()


@pytest.mark.parametrize(("mean", "expected"), [("joint", 4 / 3), ("each", 2.5)])
def test_the_two_losses_by_hand(mean, expected):
    """Losses 1 and 2 with W1 = 1, and 10 with W2 = 0.1: (1 + 2 + 1) / 3, and 1.5 + 1."""
    own, pseudo = row_weights(2, 1, (1.0, 0.1), mean)
    found = np.mean([own * 1, own * 2, pseudo * 10])
    assert found == pytest.approx(expected, abs=1e-6)


def test_the_rule_is_one_of_mass():
    assert mass_ratio(10, 500, (1.0, 0.1)) == pytest.approx(5)
    assert mass_ratio(10, 1000, (1.0, 0.1)) == pytest.approx(10)
    assert mass_ratio(10, 100, (2.0, 0.5)) == pytest.approx(2.5)
    assert row_weights(3, 0, (2.0, 0.5), "each") == (2.0, 0.5)
