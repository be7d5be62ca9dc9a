"""Classification metrics against scikit-learn."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertjax.metrics.classification import Counts, accuracy, confusion_matrix, matthews

CLASSES = 4
pairs = st.lists(st.tuples(st.integers(0, CLASSES - 1), st.integers(0, CLASSES - 1)), min_size=1)


@pytest.fixture(scope="module")
def oracle():
    metrics = pytest.importorskip("sklearn.metrics")
    with warnings.catch_warnings():  # of classes without predictions; the value is what we want
        warnings.simplefilter("ignore")
        yield metrics


@given(pairs)
def test_one_class_an_example_equals_scikit_learn(oracle, drawn):
    truth, predicted = np.array(drawn).T
    confusion = confusion_matrix(truth, predicted, CLASSES)
    counts = Counts.of_classes(confusion)
    every = range(CLASSES)
    assert (confusion == oracle.confusion_matrix(truth, predicted, labels=every)).all()
    table = oracle.precision_recall_fscore_support(truth, predicted, labels=every, zero_division=0)
    ours = (counts.precision(), counts.recall(), counts.f1(), counts.true)
    np.testing.assert_allclose(ours, table, atol=1e-12)
    close = {
        accuracy(confusion): oracle.accuracy_score(truth, predicted),
        counts.macro_f1(): oracle.f1_score(truth, predicted, average="macro", zero_division=0),
        counts.micro_f1(): oracle.f1_score(truth, predicted, average="micro", zero_division=0),
        matthews(confusion): oracle.matthews_corrcoef(truth, predicted),
    }
    for mine, theirs in close.items():
        assert mine == pytest.approx(theirs, abs=1e-12)


@given(st.lists(st.tuples(*[st.booleans()] * 6), min_size=1))
def test_sets_of_classes_equal_scikit_learn(oracle, drawn):
    drawn = np.array(drawn)
    truth, predicted = drawn[:, :3], drawn[:, 3:]
    counts = Counts.of_sets(truth, predicted)
    table = oracle.precision_recall_fscore_support(truth, predicted, zero_division=0)
    ours = (counts.precision(), counts.recall(), counts.f1(), counts.true)
    np.testing.assert_allclose(ours, table, atol=1e-12)
    for ours, average in ((counts.micro_f1(), "micro"), (counts.macro_f1(), "macro")):
        theirs = oracle.f1_score(truth, predicted, average=average, zero_division=0)
        assert ours == pytest.approx(theirs, abs=1e-12)


def test_macro_leaves_out_classes_that_never_occur_but_of_sets_counts_all():
    confusion = confusion_matrix(np.array([0, 0, 1]), np.array([0, 1, 1]), classes=3)
    assert Counts.of_classes(confusion).macro_f1() == pytest.approx(2 / 3)
    assert Counts.of_sets(np.zeros((2, 2), bool), np.zeros((2, 2), bool)).macro_f1() == 0.0
    one_of_three = np.array([[True, False, False]])
    assert Counts.of_sets(one_of_three, one_of_three).macro_f1() == pytest.approx(1 / 3)


def test_matthews_survives_counts_whose_product_leaves_64_bits():
    half = 3_000_000_000
    assert matthews(np.array([[half, 0], [0, half]])) == pytest.approx(1.0)
