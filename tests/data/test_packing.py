"""Histogram packing against best-fit on single examples, and its bookkeeping."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bertjax.data.packing import Packing, pack_histogram

CAPACITY = 32
sizes_lists = st.lists(st.integers(1, CAPACITY), min_size=0, max_size=120)


def best_fit_rows(sizes: list[int]) -> list[int]:
    """Room left in each row when examples, long to short, go to the fullest row that fits."""
    rooms: list[int] = []
    for size in sorted(sizes, reverse=True):
        fitting = [room for room in rooms if room >= size]
        room = min(fitting, default=None)
        if room is None:
            rooms.append(CAPACITY - size)
        else:
            rooms[rooms.index(room)] = room - size
    return sorted(rooms)


@settings(max_examples=200)
@given(sizes_lists)
def test_without_a_limit_it_is_best_fit_decreasing(sizes):
    patterns = pack_histogram(np.bincount(sizes, minlength=CAPACITY + 1), max_packed=CAPACITY)
    rooms = [CAPACITY - sum(pattern) for pattern, count in patterns.items() for _ in range(count)]
    assert sorted(rooms) == best_fit_rows(sizes)


@settings(max_examples=200)
@given(sizes_lists, st.integers(1, 5))
def test_every_example_has_one_place_and_no_row_overflows(sizes, max_packed):
    sizes = np.array(sizes, np.uint32)
    packing = Packing.plan(sizes, CAPACITY, max_packed)
    examples, counts = packing.examples(np.arange(len(packing)))
    assert sorted(examples.tolist()) == list(range(len(sizes)))
    assert counts.sum() == len(sizes)
    assert (counts >= 1).all() and (counts <= max_packed).all()
    row = np.repeat(np.arange(len(packing)), counts)
    used = np.bincount(row, sizes[examples], minlength=len(packing))
    assert (used <= CAPACITY).all()
    assert used.sum() == sizes.sum()


@settings(max_examples=50)
@given(sizes_lists.filter(len), st.integers(1, 5), st.randoms(use_true_random=False))
def test_rows_can_be_asked_for_in_any_order(sizes, max_packed, random):
    packing = Packing.plan(np.array(sizes, np.uint32), CAPACITY, max_packed)
    rows = [random.randrange(len(packing)) for _ in range(5)]
    together, counts = packing.examples(np.array(rows))
    alone = [packing.examples(np.array([row]))[0] for row in rows]
    np.testing.assert_array_equal(together, np.concatenate(alone))
    assert counts.tolist() == [len(examples) for examples in alone]


def test_three_to_a_row_nearly_fills_it():
    # Half-full rows on average, so at best two examples a row.
    sizes = np.random.default_rng(0).integers(1, 513, 50_000)
    packing = Packing.plan(sizes, 512, max_packed=3)
    assert sizes.sum() / (512 * len(packing)) > 0.98
    assert 1.9 < len(sizes) / len(packing) < 2.02
