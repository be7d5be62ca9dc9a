"""Orders of an epoch: Grain's, and always permutations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bertjax.data.permutation import permuted

SEEDS = st.integers(0, 2**32 - 1)


def test_the_orders_are_those_of_earlier_versions():
    """Others would reorder the data of every run that goes on."""
    assert permuted(np.arange(10), 10, 7).tolist() == [4, 0, 3, 7, 2, 9, 6, 8, 1, 5]
    large = permuted(np.arange(0, 10**9, 10**8), 10**9 + 7, 123)
    assert large.tolist() == [
        *(607458634, 292215384, 741940203, 609573963, 979101258),
        *(252559472, 84615834, 683871309, 308369586, 224711926),
    ]


@given(st.integers(1, 3000), SEEDS)
@example(2**16 + 1, 3)  # where Grain's repeats a row
@example(2**18, 2**32 - 1)
def test_every_row_has_one_place(rows, seed):
    found = permuted(np.arange(rows), rows, seed)
    assert found.dtype == np.int64
    np.testing.assert_array_equal(np.sort(found), np.arange(rows))


@given(st.one_of(st.integers(1, 1000), st.integers(1, 2**48)), SEEDS, st.randoms())
@example(65_536, 0, None)
@example(2**32 - 1, 1, None)
def test_they_are_grains(rows, seed, draw):
    experimental = pytest.importorskip("grain.experimental")
    last = rows - 1
    places = [0, last, *(draw.randint(0, last) for _ in range(20))] if draw else [0, last]
    if last >= 2**16 and last & (last - 1) == 0 and last.bit_length() % 2:
        return  # a power of 4, where Grain's is no permutation
    expected = [experimental.index_shuffle(place, last, seed, 4) for place in places]
    assert permuted(np.array(places), rows, seed).tolist() == expected
