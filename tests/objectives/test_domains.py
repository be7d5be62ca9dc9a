"""Distances of two kinds of rows against sums by hand and scikit-learn's kernel."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import log_loss
from sklearn.metrics.pairwise import rbf_kernel

from bertjax.model.domains import reversed_gradient
from bertjax.objectives import domains


def test_the_unbiased_estimate_by_hand():
    """A linear kernel of {0, 2} and {1, 3}: −1, where the biased one is 1."""
    values = jnp.array([0.0, 2.0, 1.0, 3.0])
    kernel, ones = values[:, None] * values[None], jnp.ones(2)
    assert float(domains.unbiased(kernel, ones, ones)) == pytest.approx(-1, abs=1e-6)
    x, y = values[:2], values[2:]
    assert float((x.mean() - y.mean()) ** 2) == pytest.approx(1)


def by_pairs(x, y):
    """The same with scikit-learn's kernel and loops over pairs."""
    both = np.concatenate([x, y])
    gaps = [np.sum((a - b) ** 2) for i, a in enumerate(both) for j, b in enumerate(both) if i != j]
    k = sum(rbf_kernel(both, gamma=1 / (w * np.mean(gaps))) for w in (0.25, 0.5, 1, 2, 4))
    n, m = len(x), len(y)
    inside = sum(k[i, j] for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    other = sum(k[n + i, n + j] for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    between = sum(k[i, n + j] for i in range(n) for j in range(m)) / (n * m)
    return inside + other - 2 * between


@pytest.mark.parametrize(("n", "m"), [(6, 6), (5, 9)])
def test_the_mixture_is_that_of_scikit_learns_kernels(n, m):
    draw = np.random.default_rng(0)
    x, y = draw.normal(0, 1, (n, 4)), draw.normal(0.5, 2, (m, 4))
    junk = draw.normal(9, 9, (2, 4))  # rows that only fill the batch
    filled = [np.concatenate([part, junk]) for part in (x, y)]
    real = [np.repeat([1.0, 0.0], [count, 2]) for count in (n, m)]
    with jax.enable_x64(True):
        found = jax.jit(domains.squared_mmd)(*filled, *real)
        assert float(found) == pytest.approx(by_pairs(x, y), abs=1e-12)
    found = jax.jit(domains.squared_mmd)(*(part.astype(np.float32) for part in filled), *real)
    assert float(found) == pytest.approx(by_pairs(x, y), rel=1e-5)
    slopes = jax.grad(domains.squared_mmd, argnums=(0, 1))(*filled, *real)
    for slope in slopes:
        assert np.abs(slope[:-2]).min() > 0 and not np.any(slope[-2:])


def test_the_bandwidth_is_a_constant():
    """So the gradient is that of the kernel at a fixed width, by finite differences."""
    draw = np.random.default_rng(1)
    x, y = draw.normal(0, 1, (4, 2)), draw.normal(1, 1, (4, 2))
    both = np.concatenate([x, y])
    gaps = ((both[:, None] - both[None]) ** 2).sum(-1)
    mean = gaps.sum() / (8 * 7)

    def fixed(moved):
        rows = np.concatenate([moved, y])
        k = sum(rbf_kernel(rows, gamma=1 / (w * mean)) for w in (0.25, 0.5, 1, 2, 4))
        off = 1 - np.eye(4)
        return ((k[:4, :4] + k[4:, 4:]) * off).sum() / 12 - 2 * k[:4, 4:].mean()

    step = np.zeros_like(x)
    step[1, 0] = 1e-5
    slope = (fixed(x + step) - fixed(x - step)) / 2e-5
    ones = np.ones(4, np.float32)
    found = jax.grad(domains.squared_mmd)(x.astype(np.float32), y.astype(np.float32), ones, ones)
    assert float(found[1, 0]) == pytest.approx(slope, rel=1e-3)


def test_of_equal_distributions_it_is_zero_on_average():
    keys = jax.random.split(jax.random.key(0), 200)
    ones = jnp.ones(12)

    @jax.jit
    def drawn(key):
        rows = jax.random.normal(key, (24, 3))
        return domains.squared_mmd(rows[:12], rows[12:], ones, ones)

    found = np.asarray(jax.vmap(drawn)(keys))
    assert abs(found.mean()) < 3 * found.std(ddof=1) / np.sqrt(200)
    assert (found < 0).any()


def test_too_few_rows_have_no_pairs():
    x, y, one = jnp.ones((2, 3)), jnp.zeros((2, 3)), jnp.array([1.0, 0.0])
    for real in ((one, one), (one * 0, one)):
        value, slope = jax.value_and_grad(domains.squared_mmd)(x, y, *real)
        assert np.isfinite(value) and np.isfinite(slope).all()


def test_either_kind_counts_half():
    x, y = np.array([0.3, -1.0, 50.0]), np.array([2.0, 0.5, 0.1, -3.0])
    halves = []
    for logits, label in ((x[:2], 1), (y, 0)):
        p = 1 / (1 + np.exp(-logits))
        halves.append(log_loss([label] * len(p), np.stack([1 - p, p], 1), labels=[0, 1]))
    real = jnp.array([1.0, 1.0, 0.0]), jnp.ones(4)
    found = domains.told_apart(jnp.array(x), jnp.array(y), *real)
    assert float(found) == pytest.approx(np.mean(halves), rel=1e-6)
    nothing = domains.told_apart(jnp.zeros(3), jnp.zeros(4), *real)
    assert float(nothing) == pytest.approx(np.log(2))


def test_the_gradient_is_reversed_and_rises():
    assert [float(domains.reversal(p)) for p in (0.0, 1.0)] == pytest.approx(
        [0, 2 / (1 + np.exp(-10)) - 1], abs=1e-6
    )
    x = jnp.array([1.0, -2.0])
    value, slope = jax.value_and_grad(lambda x: jnp.sum(reversed_gradient(x, 0.3) ** 2))(x)
    assert float(value) == 5
    np.testing.assert_allclose(slope, [-0.6, 1.2], rtol=1e-6)
