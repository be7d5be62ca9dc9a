"""Dropout: shares, independence of places and keys, gradients, and any division over devices."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from scipy import stats

from bertjax.model.dropout import draws, dropout

KEYS = [jax.random.fold_in(jax.random.key(7), i) for i in range(4)]
ROWS, WIDTH = 512, 384


def kept(key, rate: float, shape=(ROWS, WIDTH)) -> np.ndarray:
    return np.asarray(dropout(jnp.ones(shape), rate, key)) != 0


def test_draws_are_those_of_plain_python():
    def mix(x: int) -> int:
        x = ((x ^ x >> 16) * 0x7FEB352D) % 2**32
        x = ((x ^ x >> 15) * 0x846CA68B) % 2**32
        return x ^ x >> 16

    def state(word: int, count: int) -> int:
        return mix((word + (count + 1) * 0x9E3779B9) % 2**32)

    shape = (2, 3, 5)
    words = jax.random.key_data(KEYS[0])
    first, second = map(int, words)
    expected = [
        mix(state(first, 3 * i + j) ^ state(second, k))
        for i, j, k in itertools.product(*map(range, shape))
    ]
    assert np.array_equal(np.asarray(draws(words, shape)).ravel(), expected)


@pytest.mark.parametrize("rate", [0.05, 0.1, 0.5, 0.9])
def test_the_share_that_is_dropped_is_the_rate(rate):
    """In all, by row and by column: counts are binomial, and nothing is far out in any of them."""
    dropped = np.stack([~kept(key, rate) for key in KEYS])
    assert stats.binomtest(int(dropped.sum()), dropped.size, rate).pvalue > 1e-3
    for axis in (1, 2):
        counts, n = dropped.sum(axis).ravel(), dropped.shape[axis]
        spread = (counts - n * rate) ** 2 / (n * rate * (1 - rate))
        assert 1e-3 < stats.chi2.sf(spread.sum(), counts.size) < 1 - 1e-3


def test_draws_are_uniform_and_their_bits_are_fair():
    words = np.stack([np.asarray(draws(jax.random.key_data(key), (ROWS, WIDTH))) for key in KEYS])
    counts = np.bincount((words >> 22).ravel(), minlength=1024)
    assert 1e-3 < stats.chisquare(counts).pvalue < 1 - 1e-3
    for bit in range(32):
        ones = int((words >> bit & 1).sum())
        assert stats.binomtest(ones, words.size).pvalue > 1e-4


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """In standard deviations of what independent draws would show."""
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1]) * a.size**0.5


def test_neighbours_and_keys_are_independent():
    """Rows and columns any distance apart, and the masks of keys that differ by one count."""
    masks = [kept(key, 0.3) for key in KEYS]
    for far in (1, 2, 3, 16, 64, 128, 255):
        assert abs(correlation(masks[0][far:], masks[0][:-far])) < 4
        assert abs(correlation(masks[0][:, far:], masks[0][:, :-far])) < 4
        assert abs(correlation(masks[0][far:, far:], masks[0][:-far, :-far])) < 4
    for one, other in itertools.combinations(masks, 2):
        assert abs(correlation(one, other)) < 4
    # Four corners of a rectangle, since states of rows and columns are joined by exclusive or.
    signs = [np.where(mask, 0.3, -0.7) for mask in masks]
    for sign in signs:
        product = sign[:-1, :-1] * sign[1:, :-1] * sign[:-1, 1:] * sign[1:, 1:]
        assert abs(product.mean() / (0.3 * 0.7) ** 2 * product.size**0.5) < 4


def test_what_is_kept_is_scaled_up_and_gradients_follow_the_mask():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(ROWS, WIDTH)), jnp.float32)
    y, backward = jax.vjp(lambda x: dropout(x, 0.25, KEYS[0]), x)
    mask = kept(KEYS[0], 0.25)
    np.testing.assert_allclose(y, np.where(mask, x / 0.75, 0), rtol=1e-6)
    np.testing.assert_allclose(backward(jnp.ones_like(x))[0], np.where(mask, 1 / 0.75, 0), 1e-6)
    assert dropout(x.astype(jnp.bfloat16), 0.25, KEYS[0]).dtype == jnp.bfloat16
    assert dropout(x, 0.25, None) is x and dropout(x, 0.0, KEYS[0]) is x


def test_no_mask_is_kept_for_the_backward_pass():
    def saved(x, key):
        return jax.vjp(lambda x: dropout(x, 0.1, key) ** 2, x)[1]

    shapes = [
        leaf.shape for leaf in jax.tree.leaves(jax.eval_shape(saved, jnp.ones((8, 16)), KEYS[0]))
    ]
    assert shapes.count((8, 16)) == 1  # of the square alone


@pytest.mark.mesh
@pytest.mark.parametrize("spec", [("a", None), (None, "a"), ("a", "b"), (("a", "b"), None)])
def test_draws_do_not_depend_on_how_the_array_is_divided(spec):
    mesh = jax.make_mesh((4, 2), ("a", "b"), axis_types=(AxisType.Auto,) * 2)
    place = NamedSharding(mesh, PartitionSpec(*spec))
    x = jax.device_put(jnp.ones((64, 48)), place)
    divided = jax.jit(lambda x, key: dropout(x, 0.4, key), out_shardings=place)(x, KEYS[1])
    assert np.array_equal(divided, dropout(jnp.ones((64, 48)), 0.4, KEYS[1]))
