"""Shares of classes among rows without labels: by hand, by a solver, and from drawn rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import softmax
from sklearn.metrics import confusion_matrix

from bertjax.transfer.label_shift import (
    NotInvertible,
    bbse_shares,
    confusion_shares,
    corrected,
    em_shares,
    shares_of,
)


def test_bbse_by_hand():
    found = bbse_shares(np.array([[0.4, 0.1], [0.1, 0.4]]), np.array([0.35, 0.65]))
    np.testing.assert_allclose(found, [0.5 * 0.5, 0.5 * 1.5], atol=1e-6)


@given(st.integers(2, 5), st.integers(0, 10**6))
def test_bbse_finds_the_shares_that_there_are(classes, seed):
    """Whatever those of the held-out rows, by a model of the same errors on both."""
    draw = np.random.default_rng(seed)
    errors = 0.6 * np.eye(classes) + 0.4 * draw.dirichlet(np.ones(classes), classes).T
    held_out, true = draw.dirichlet(np.full(classes, 3.0), 2) * 0.9 + 0.1 / classes
    found = bbse_shares(errors * held_out, errors @ true)
    np.testing.assert_allclose(found, true, atol=1e-9)


def test_what_sampling_makes_negative_is_none():
    found = bbse_shares(np.array([[0.4, 0.1], [0.1, 0.4]]), np.array([0.1, 0.9]))
    np.testing.assert_allclose(found, [0.0, 0.5 * (0.4 * 0.9 - 0.1 * 0.1) / 0.15], atol=1e-6)


@pytest.mark.parametrize("matrix", [[[0.5, 0.5], [0, 0]], [[0.5, 0], [0.5, 0]]])
def test_errors_that_tell_nothing_have_no_inverse(matrix):
    with pytest.raises(NotInvertible):
        bbse_shares(np.array(matrix), np.array([0.5, 0.5]))


def test_one_step_of_em_by_hand_and_where_it_ends():
    """Two rows, sure of either class: their shares, whatever the prior."""
    np.testing.assert_allclose(em_shares(np.eye(2), np.array([0.9, 0.1])), [0.5, 0.5], atol=1e-6)
    rows = np.array([[1, 0], [1, 0], [0, 1], [0.5, 0.5]])
    # With equal priors s = (2 + s) / 4, the last row being worth s of the first class.
    np.testing.assert_allclose(em_shares(rows, np.array([0.5, 0.5])), [2 / 3, 1 / 3], atol=1e-6)


@given(st.integers(2, 5), st.integers(0, 10**6))
def test_em_ends_at_the_likeliest_shares(classes, seed):
    """Where a general solver of the likelihood ends."""
    draw = np.random.default_rng(seed)
    prior = draw.dirichlet(np.full(classes, 3.0)) * 0.9 + 0.1 / classes
    rows = softmax(draw.normal(0, 2, (40, classes)), axis=1)

    def cost(logits):
        return -np.log((rows / prior) @ softmax(logits)).mean()

    best = minimize(cost, np.zeros(classes), tol=1e-12)
    assert cost(np.log(em_shares(rows, prior) + 1e-300)) <= best.fun + 1e-7


def test_both_find_the_shares_of_drawn_rows():
    """Texts of two normal distributions, a model that is right for equal shares."""
    draw, true = np.random.default_rng(0), np.array([0.2, 0.8])
    labels = {n: draw.choice(2, 20_000, p=p) for n, p in (("dev", [0.5, 0.5]), ("new", true))}
    says = {}
    for name, ids in labels.items():
        x = draw.normal(2.0 * ids - 1.0, 1.0)
        says[name] = softmax(np.stack([-((x + 1) ** 2), -((x - 1) ** 2)], 1) / 2, axis=1)
    even = np.array([0.5, 0.5])
    np.testing.assert_allclose(em_shares(says["new"], even), true, atol=0.02)
    guessed = {name: said.argmax(1) for name, said in says.items()}
    confusion = confusion_shares(guessed["dev"], labels["dev"], 2)
    theirs = confusion_matrix(labels["dev"], guessed["dev"], normalize="all").T
    np.testing.assert_allclose(confusion, theirs)
    found = bbse_shares(confusion, shares_of(guessed["new"], 2))
    np.testing.assert_allclose(found, true, atol=0.02)
    right = [
        (said.argmax(1) == labels["new"]).mean()
        for said in (says["new"], corrected(says["new"], even, true))
    ]
    assert right[1] > right[0]


def test_shares_count_weights():
    ids = np.array([0, 1, 1, 2])
    np.testing.assert_allclose(shares_of(ids, 4), [0.25, 0.5, 0.25, 0])
    np.testing.assert_allclose(shares_of(ids, 3, np.array([1, 1, 2, 4.0])), [1 / 8, 3 / 8, 4 / 8])
