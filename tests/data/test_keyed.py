"""Keyed draws: SplitMix64 itself, and the distributions made from it."""

from __future__ import annotations

import numpy as np
from oracle_rows import hash64
from scipy import stats

from bertjax.data import keyed


def test_bits_are_the_published_splitmix64_sequence():
    # The first outputs of the reference C program (Vigna, splitmix64.c) from state 0.
    published = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F, 0xF88BB8A8724C81EC]
    assert keyed.bits(np.arange(4)).tolist() == published


def test_bits_chain_and_broadcast_like_the_scalar_version():
    rows, tries = np.arange(5)[:, None], np.arange(3)
    drawn = keyed.bits(2**63 + 1, 4, rows, tries)
    for row in range(5):
        for attempt in range(3):
            assert int(drawn[row, attempt]) == hash64(2**63 + 1, 4, row, attempt)


def test_below_is_uniform_and_never_reaches_its_limit():
    drawn = keyed.below(7, 11, np.arange(70_000))
    assert stats.chisquare(np.bincount(drawn, minlength=7)).pvalue > 1e-4
    largest = (2**53 - 1) * 2.0**-53  # the largest value of `uniform`
    for limit in (1, 3, 2**31 - 1, 2**40 + 1, 2**52 + 1):
        assert int(largest * limit) == limit - 1


def test_neighbouring_coordinates_are_independent():
    grid = keyed.uniform(3, np.arange(200)[:, None], np.arange(200))
    assert abs(np.corrcoef(grid[:-1].ravel(), grid[1:].ravel())[0, 1]) < 0.02
    assert abs(np.corrcoef(grid[:, :-1].ravel(), grid[:, 1:].ravel())[0, 1]) < 0.02


def test_heads_equals_a_loop_over_single_coins():
    tosses = np.array([0, 1, 63, 64, 65, 0, 200, 7])
    counted = keyed.heads(tosses, 9, np.arange(8))
    for row, count in enumerate(tosses.tolist()):
        coins = [hash64(9, row, k // 64) >> (k % 64) & 1 for k in range(count)]
        assert counted[row] == sum(coins)


def test_heads_is_binomial():
    counted = keyed.heads(np.full(20_000, 10), 1, np.arange(20_000))
    expected = stats.binom.pmf(np.arange(11), 10, 0.5) * 20_000
    assert stats.chisquare(np.bincount(counted, minlength=11), expected).pvalue > 1e-4
