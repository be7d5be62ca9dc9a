"""Rows in shares: everything once, few shapes, little padding."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bertjax.probe.rows import Rows, plan


@given(st.lists(st.integers(2, 30), max_size=300), st.sampled_from([16, 64, 1000]))
def test_each_row_is_in_one_share(lengths, tokens_at_once):
    lengths = np.array(lengths, np.int64)
    shares = list(plan(lengths, tokens_at_once))
    seen = np.concatenate([np.zeros(0, int), *(share.chosen[share.real] for share in shares)])
    assert sorted(seen) == list(range(len(lengths)))
    for share in shares:
        assert lengths[share.chosen].max() <= share.width
        assert share.full == (lengths[share.chosen].min() == share.width) or not share.full
        assert len(share.chosen) == 1 or len(share.chosen) * share.width <= tokens_at_once


def test_many_rows_have_no_padding_and_few_share_a_shape():
    draw = np.random.default_rng(0)
    many = list(plan(draw.integers(5, 15, 20_000), 1000))
    assert all(share.full for share in many) and len({share.width for share in many}) == 10
    (few,) = plan(draw.integers(5, 15, 9), 10_000)
    assert len(few.chosen) == 9 and few.real.all()


@given(st.lists(st.lists(st.integers(2, 500), max_size=70), max_size=20))
def test_texts_of_a_program_share_shapes_over_its_calls(calls):
    """Widths and rows of a share are of 1, 2, 3, 4, 6, 8, ..., or the model's positions."""
    grid = {n * 2**k for n in (2, 3) for k in range(12)} | {1, 500}
    for lengths in map(np.array, calls):
        shares = list(plan(lengths.astype(np.int64), 2_048, 500))
        seen = np.concatenate([np.zeros(0, int), *(share.chosen[share.real] for share in shares)])
        assert sorted(seen) == list(range(len(lengths)))
        for share in shares:
            assert share.width in grid and len(share.chosen) in grid and not share.full
            assert lengths[share.chosen].max() <= share.width <= 500
            assert len(share.chosen) == 1 or len(share.chosen) * share.width <= 1.5 * 2_048


@given(st.lists(st.lists(st.integers(1, 9), max_size=6), min_size=1, max_size=8))
def test_a_table_holds_the_rows(rows):
    made = Rows.of([np.array(row, np.int32) for row in rows])
    width = max(max(map(len, rows)), 1)
    if not len(made.tokens):
        return
    table = made.table(np.arange(len(rows))[::-1], width, pad=0)
    assert table.tolist() == [row + [0] * (width - len(row)) for row in rows[::-1]]
