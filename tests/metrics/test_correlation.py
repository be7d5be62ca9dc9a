"""Correlations against SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from bertjax.metrics.correlation import is_constant, pearson, spearman

# Quarters make ties; scipy.stats refuses nothing here and has no constant series to warn of.
values = st.integers(-20, 20).map(lambda n: n / 4)
series = st.lists(st.tuples(values, values), min_size=2, max_size=40).map(lambda p: np.array(p).T)


@given(series)
def test_equal_scipy_with_ties(drawn):
    x, y = drawn
    assume(not is_constant(x) and not is_constant(y))
    assert pearson(x, y) == pytest.approx(stats.pearsonr(x, y).statistic, abs=1e-12)
    assert spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)


def test_large_and_small_values():
    x, y = np.random.default_rng(0).normal(size=(2, 500))
    expected = stats.pearsonr(x, y).statistic
    for scale in (1e-200, 1e200):
        assert pearson(x * scale, y) == pytest.approx(expected, abs=1e-12)
    assert pearson(x + 1e6, y) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("values", [[0.1] * 7, [2.5], []])
def test_a_constant_correlates_with_nothing(values):
    other = np.arange(len(values))
    assert is_constant(np.array(values))
    assert pearson(np.array(values), other) == 0.0
    assert spearman(other, np.array(values)) == 0.0
