"""Batches of unequal rows: every row once, on lines of few forms, the same for the same numbers."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bertjax.config import FinetuneConfig, ModelConfig, TuneConfig
from bertjax.finetuning.batches import (
    evaluation_plan,
    make_batch,
    row_indices,
    training_plan,
)
from bertjax.finetuning.layout import (
    Cost,
    Form,
    Lengths,
    choose_forms,
    evaluation_forms,
    form_of_one_batch,
    lay,
    training_forms,
)
from bertjax.tasks.task import Rows

MODEL = ModelConfig(hidden_size=64, num_heads=4, intermediate_size=256)
LENGTHS = st.lists(st.integers(1, 60), min_size=1, max_size=40)


def rows_of(lengths, group: int = 1) -> Rows:
    tokens = [np.full(n, i + 1, np.int32) for i, n in enumerate(lengths)]
    return Rows(
        tokens=tokens,
        token_types=[np.full_like(t, i % 2) for i, t in enumerate(tokens)],
        examples=np.arange(len(tokens)) // group,
        fixed={"label": np.arange(len(tokens), dtype=np.int32)},
        ragged={"tags": [t[: len(t) // 2] for t in tokens]},
        states=[np.arange(2 * n, dtype=np.float32).reshape(n, 1, 2) for n in lengths],
        group=group,
    )


def forms_of(
    rows: Rows, size: int, passes: float = 1.0, compilation: float = 0.0, devices: int = 1
):
    return choose_forms(Lengths.of([rows]), size, devices, Cost(MODEL, passes, compilation))


def sentences(count: int, seed: int = 0) -> np.ndarray:
    """Lengths as text has them: most short, a few ten times as long."""
    draws = np.random.default_rng(seed).lognormal(2.8, 0.6, count)
    return np.clip(draws, 4, 160).astype(int)


@settings(max_examples=60)
@given(LENGTHS, st.integers(1, 7), st.integers(1, 3), st.integers(1, 4), st.booleans())
def test_an_epoch_has_every_row_once(lengths, size, group, devices, apart):
    rows = rows_of(lengths * group, group)
    forms = forms_of(rows, size, compilation=0.0 if apart else math.inf, devices=devices)
    groups = len(lengths)
    training = training_plan(rows, forms, size, 7, 3)
    evaluation = evaluation_plan(rows, forms, size)
    assert len(training) == sum(-(-n // size) for n in _parts(rows, forms, size))
    for plans in (training, evaluation):
        assert sorted(np.concatenate([p.groups for p in plans])) == list(range(groups))
        assert all(1 <= len(plan.groups) <= size for plan in plans)
        for plan in plans:
            assert plan.form.lines % devices == 0 and plan.form.width % 8 == 0
            check(make_batch(rows, plan, size, pad=99), rows, plan, size)
    # Evaluation never needs a form that was not chosen.
    assert {plan.form for plan in evaluation} <= set(forms)


def _parts(rows, forms, size) -> list[int]:
    """How many groups are in batches of each form."""
    longest = Lengths.of([rows]).longest
    apart = int((longest > forms[0].longest).sum()) if len(forms) == 2 else 0
    apart = min(-(-apart // size) * size, len(longest))
    return [len(longest) - apart, apart]


def check(batch, rows: Rows, plan, size: int) -> None:
    """A batch holds its rows, each whole and by itself, and nothing else."""
    lines, width, longest = plan.form
    indices = row_indices(rows, plan)
    count = size * rows.group
    assert batch["tokens"].shape == (lines, width) and batch["places"].shape == (count, longest)
    taken = np.zeros(lines * width, bool)
    for place, row in enumerate(indices):
        n = len(rows.tokens[row])
        where = batch["places"][place]
        assert (where[:n] >= 0).all() and (where[n:] == -1).all()
        where = where[:n]
        assert len(set(where // width)) == 1 and not taken[where].any()  # on one line
        taken[where] = True
        np.testing.assert_array_equal(batch["tokens"].flat[where], rows.tokens[row])
        np.testing.assert_array_equal(batch["token_types"].flat[where], rows.token_types[row])
        np.testing.assert_array_equal(batch["positions"].flat[where], np.arange(n))
        assert (batch["segments"].flat[where] == place + 1).all()
        found = batch["states"].reshape(lines * width, 1, 2)[where]
        np.testing.assert_array_equal(found, rows.states[row])
        np.testing.assert_array_equal(batch["tags"][place, : n // 2], rows.ragged["tags"][row])
        assert (batch["tags"][place, n // 2 :] == -1).all()
        assert batch["label"][place] == row
    assert (batch["tokens"].ravel()[~taken] == 99).all()
    assert (batch["segments"].ravel()[~taken] == 0).all()
    assert batch["example_weights"].tolist() == [1] * len(indices) + [0] * (count - len(indices))


def test_the_order_depends_on_seed_and_epoch_alone():
    rows = rows_of(list(range(5, 60)) * 4)
    forms = forms_of(rows, 8)

    def order(seed, epoch):
        return [p.groups.tolist() for p in training_plan(rows, forms, 8, seed, epoch)]

    assert order(1, 2) == order(1, 2)
    assert order(1, 2) != order(1, 3) and order(1, 2) != order(2, 2)
    together = [{frozenset(batch) for batch in order(1, epoch)} for epoch in range(20)]
    assert all(len(a & b) < 0.1 * len(a) for a, b in itertools.pairwise(together))


@pytest.mark.parametrize(("size", "seed"), [(16, 0), (32, 1), (32, 2)])
def test_batches_weigh_alike_and_little_of_them_is_padding(size, seed):
    """Also in epochs, of seeds and of folds by which no form was chosen."""
    lengths = sentences(1600, seed)
    forms = forms_of(rows_of(lengths), size, passes=100)
    some = rows_of(np.delete(lengths, slice(seed, None, 5)))
    real = other = places = 0
    for epoch in range(5):
        plans = training_plan(some, forms, size, 3, epoch)
        for plan in plans:
            real += sum(len(some.tokens[i]) for i in row_indices(some, plan))
            places += plan.form.lines * plan.form.width
            other += plan.form not in forms
    assert real / places > 0.8
    assert other == 0  # each would be a compilation


@settings(max_examples=60)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=6), st.integers(12, 24))
def test_rows_are_laid_on_few_lines(sizes, width):
    """At most 11/9 of the fewest possible and 6/9 (Dósa 2007), by trying all of them."""
    begins, lines = lay(sizes, width)
    taken = [set(range(b, b + n)) for b, n in zip(begins, sizes, strict=True)]
    assert sum(map(len, taken)) == len(set().union(*taken))
    assert all(
        b // width == (b + n - 1) // width < lines for b, n in zip(begins, sizes, strict=True)
    )
    fewest = min(
        len(set(chosen))
        for chosen in itertools.product(range(len(sizes)), repeat=len(sizes))
        if all(
            sum(n for n, line in zip(sizes, chosen, strict=True) if line == each) <= width
            for each in set(chosen)
        )
    )
    assert lines <= 11 / 9 * fewest + 6 / 9


def test_long_rows_are_apart_only_where_that_is_worth_compiling():
    lengths = [*sentences(400), *[500] * 10]
    rows, size = rows_of(lengths), 16
    alone = forms_of(rows, size, passes=1, compilation=math.inf)
    assert [form.longest for form in alone] == [504]
    cost = Cost(MODEL, 1, 0)

    def price(cut: int) -> float:
        ordered = sorted(lengths, reverse=True)
        long, short = ordered[:cut], ordered[cut:]
        return sum(long) * cost.token(500) + sum(short) * cost.token(short[0])

    prices = {cut: price(cut) for cut in range(0, len(lengths), size)}
    saved = prices[0] - min(prices.values())
    best = min(prices, key=prices.__getitem__)
    assert best > 0 and saved > 0
    for passes, factor in ((1, 0.99), (3, 2.99)):
        short, long = forms_of(rows, size, passes=passes, compilation=factor * saved)
        assert long.longest == 504
        assert short.longest == -(-sorted(lengths, reverse=True)[best] // 8) * 8
    assert forms_of(rows, size, passes=1, compilation=1.01 * saved) == alone


def test_a_batch_that_its_form_has_no_room_for_gets_a_larger_one():
    rows = rows_of([16] * 9)
    plans = training_plan(rows, (Form(2, 16, 16),), 4, 0, 0)
    assert {plan.form for plan in plans} == {Form(4, 16, 16)}
    for plan in plans:
        check(make_batch(rows, plan, 4, pad=99), rows, plan, 4)


def test_one_row_length_can_be_asked_for():
    rows = rows_of([*sentences(4000), *[500] * 10])
    cfg = FinetuneConfig(tune=TuneConfig(epochs=30))
    assert len(training_forms(cfg, [rows], 1)) == 2
    one = replace(cfg, tune=replace(cfg.tune, row_lengths=1))
    assert [form.longest for form in training_forms(one, [rows], 1)] == [504]
    assert [form.longest for form in evaluation_forms(one, [rows], 1, passes=99)] == [504]


@pytest.mark.parametrize("devices", [1, 8])
def test_a_batch_alone_has_one_of_few_forms(devices):
    """A program predicts for a text or a few, again and again."""
    for texts in (1, 5):
        found = set()
        for longest in range(4, 161):
            rows = rows_of(np.maximum(1, longest - 3 * np.arange(texts)))
            form = form_of_one_batch(rows, devices)
            assert form.lines % devices == 0 and form.lines < 1.5 * texts + devices
            assert longest <= form.longest == form.width < 1.5 * longest
            found.add(form)
        assert len(found) == 12  # widths 4, 6, 8, 12, ..., 192
