"""Batches of unequal rows: every row once, little padding, the same for the same coordinates."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bertjax.finetune.batches import (
    evaluation_plan,
    make_batch,
    row_indices,
    row_lengths,
    training_plan,
)
from bertjax.tasks.task import Rows


def rows_of(lengths, group: int = 1) -> Rows:
    tokens = [np.full(n, i + 1, np.int32) for i, n in enumerate(lengths)]
    return Rows(
        tokens=tokens,
        token_types=[np.zeros_like(t) for t in tokens],
        examples=np.arange(len(tokens)) // group,
        fixed={"label": np.arange(len(tokens), dtype=np.int32)},
        ragged={"tags": [t[: len(t) // 2] for t in tokens]},
        group=group,
    )


def padded(lengths, chosen) -> int:
    return sum(min(c for c in chosen if c >= n) for n in lengths)


@settings(max_examples=60)
@given(st.lists(st.integers(1, 90), min_size=1, max_size=30), st.integers(1, 4))
def test_row_lengths_waste_least(lengths, at_most):
    chosen = row_lengths(lengths, at_most)
    assert len(chosen) <= at_most and list(chosen) == sorted(set(chosen))
    assert all(c % 8 == 0 for c in chosen) and max(lengths) <= chosen[-1] < max(lengths) + 8
    every = sorted({-(-n // 8) * 8 for n in lengths})
    best = [
        min(
            padded(lengths, (*others, every[-1]))
            for others in itertools.combinations(every[:-1], min(k, len(every) - 1))
        )
        for k in range(at_most)
    ]
    assert padded(lengths, chosen) == best[len(chosen) - 1]
    worth = [b < 0.95 * a for a, b in itertools.pairwise(best)]  # each one's compilation
    assert all(worth[: len(chosen) - 1]) and not any(worth[len(chosen) - 1 : len(chosen)])


@settings(max_examples=40)
@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=40),
    st.integers(1, 7),
    st.integers(1, 3),
    st.integers(0, 5),
)
def test_an_epoch_has_every_row_once(lengths, size, group, epoch):
    lengths = lengths * group
    rows = rows_of(lengths, group)
    widths = row_lengths(lengths, 3)
    for plans in (training_plan(rows, widths, size, 7, epoch), evaluation_plan(rows, widths, size)):
        indices = np.concatenate([row_indices(rows, plan) for plan in plans])
        assert sorted(indices) == list(range(len(lengths)))
        for plan in plans:
            need = max(len(rows.tokens[i]) for i in row_indices(rows, plan))
            assert plan.length == min(w for w in widths if w >= need)
            assert len(plan.groups) <= size


def test_order_depends_on_seed_and_epoch_alone():
    rows = rows_of(list(range(5, 60)) * 4)
    widths = row_lengths(list(range(5, 60)), 4)

    def order(seed, epoch):
        return [p.groups.tolist() for p in training_plan(rows, widths, 8, seed, epoch)]

    assert order(1, 2) == order(1, 2)
    assert order(1, 2) != order(1, 3) and order(1, 2) != order(2, 2)
    sorted_share = np.mean([np.ptp([len(rows.tokens[i]) for i in g]) for g in order(1, 2)])
    assert sorted_share < 10  # rows of a batch are of similar length


def test_a_batch_holds_its_rows_and_pads_the_rest():
    rows = rows_of([3, 7, 5, 6], group=2)
    (plan,) = evaluation_plan(rows, (8,), 4)
    batch = make_batch(rows, plan, 4, pad=99)
    order = row_indices(rows, plan)
    assert (
        batch["tokens"].shape == (8, 8) and batch["example_weights"].tolist() == [1] * 4 + [0] * 4
    )
    for place, row in enumerate(order):
        n = len(rows.tokens[row])
        np.testing.assert_array_equal(batch["tokens"][place, :n], rows.tokens[row])
        assert (batch["tokens"][place, n:] == 99).all()
        np.testing.assert_array_equal(batch["segments"][place], np.arange(8) < n)
        assert (batch["tags"][place, n // 2 :] == -1).all()
        assert batch["label"][place] == row
    assert (batch["segments"][4:] == 0).all()
