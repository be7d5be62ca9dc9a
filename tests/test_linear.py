"""Softmax regression against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bertjax.linear import softmax_regression


@pytest.mark.parametrize("l2", [1.0, 30.0])
def test_classes_and_logits_are_those_of_scikit_learn(l2):
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(5, 12))
    y = rng.integers(0, 5, 900)
    x = (centres[y] + 1.5 * rng.normal(size=(900, 12))).astype(np.float32) * 3 + 7
    x[:, 3] = 2.5  # a feature that says nothing
    ours = softmax_regression(x[:600], y[:600], 5, l2)
    reference = make_pipeline(
        StandardScaler(), LogisticRegression(C=1 / l2, tol=1e-9, max_iter=5000)
    )
    reference.fit(x[:600].astype(np.float64), y[:600])
    logits = (x[600:] - ours.mean) / ours.scale @ ours.weights + ours.bias
    theirs = reference.decision_function(x[600:].astype(np.float64))
    centred = [z - z.mean(axis=1, keepdims=True) for z in (logits, theirs)]
    np.testing.assert_allclose(*centred, atol=0.02)
    assert np.mean(ours.classes(x[600:]) == reference.predict(x[600:])) > 0.995


def test_a_class_that_is_not_seen_is_never_the_likeliest():
    rng = np.random.default_rng(0)
    found = softmax_regression(rng.normal(size=(40, 3)), rng.integers(1, 3, 40), 4)
    assert set(found.classes(rng.normal(size=(200, 3)) * 9)) <= {1, 2}
