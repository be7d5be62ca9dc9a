"""`BatchSource`: a pure function of its arguments, every row once an epoch, packed or not."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle_rows import FIRST_TOKEN, check_empty, check_example, contiguous_rows, numbered_corpus

from bertjax.config import DataConfig, Phase, PhaseSchedule
from bertjax.data.batches import BatchSource, evaluation_batches
from bertjax.errors import UserError

CORPUS = numbered_corpus(np.random.default_rng(1).integers(1, 12, (60, 5)).tolist())
ONE_PHASE = (Phase(32, 8),)
FORMATS = [
    ("full_sentences", 1),
    ("doc_sentences", 1),
    ("doc_sentences", 4),
    ("segment_pair+nsp", 1),
    ("segment_pair+sop", 4),
    ("sentence_pair+nsp", 4),
    ("sentence_pair+sop_strict", 1),
]


def source_of(case=FORMATS[3], corpus=CORPUS, seed=5, phases=ONE_PHASE, phase=0):
    input_format, max_packed = case
    config = DataConfig(format=input_format, max_packed=max_packed, phases=phases)
    return BatchSource(corpus, config, phase, seed)


def assert_same(one: dict, other: dict) -> None:
    assert one.keys() == other.keys()
    for name in one:
        assert one[name].dtype == other[name].dtype, name
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


@pytest.mark.parametrize("case", FORMATS)
def test_shapes_and_types(case):
    batch = source_of(case).batch(0)
    shapes = {name: (array.shape, array.dtype.name) for name, array in batch.items()}
    slots = case[1]
    assert shapes == {
        "tokens": ((8, 32), "int32"),
        "token_types": ((8, 32), "int32"),
        "positions": ((8, 32), "int32"),
        "segments": ((8, 32), "int32"),
        "word_starts": ((8, 32), "bool"),
        "cls_positions": ((8, slots), "int32"),
        "pair_labels": ((8, slots), "int32"),
        "example_ids": ((8, 2), "uint32"),
    }


@pytest.mark.parametrize("case", FORMATS)
def test_a_share_of_the_rows_equals_those_rows_of_the_whole(case):
    source = source_of(case)
    for index in (0, 3, 10_000_000):
        whole = source.batch(index)
        for rows in (slice(0, 4), slice(4, 8), slice(1, None, 2), slice(5, 6)):
            part = source.batch(index, rows)
            assert_same(part, {name: array[rows] for name, array in whole.items()})


@pytest.mark.parametrize("case", FORMATS)
def test_batches_do_not_depend_on_what_was_asked_before(case):
    used, fresh = source_of(case), source_of(case)
    for index in (9, 0, 12):
        used.batch(index)
    before = dict(vars(used))
    assert_same(used.batch(10_000_000), fresh.batch(10_000_000))
    assert_same(used.batch(10), fresh.batch(10))
    assert vars(used) == before  # no state: position 10 and 10 million take the same steps


@pytest.mark.parametrize("case", FORMATS)
def test_every_row_comes_once_an_epoch_in_a_new_order(case):
    source = source_of(case)
    rows = source.rows_per_epoch
    ids = np.concatenate([source.batch(i)["example_ids"] for i in range(3 * rows // 8 + 1)])
    orders = []
    for epoch in range(3):
        of_epoch = ids[epoch * rows : (epoch + 1) * rows]
        assert (of_epoch[:, 0] == epoch).all()
        assert sorted(of_epoch[:, 1].tolist()) == list(range(rows))
        orders.append(of_epoch[:, 1].tolist())
    assert orders[0] != orders[1] != orders[2] != orders[0]
    assert orders[0] != sorted(orders[0])


@pytest.mark.parametrize("case", [FORMATS[0], FORMATS[2]])
def test_every_token_comes_once_an_epoch(case):
    source = source_of(case)
    seen: Counter[int] = Counter()
    for index in range(-(-source.rows_per_epoch // 8)):
        batch = source.batch(index)
        first_epoch = batch["example_ids"][:, 0] == 0
        seen.update(batch["tokens"][first_epoch].ravel().tolist())
    text = {token: count for token, count in seen.items() if token >= FIRST_TOKEN}
    assert text == dict.fromkeys(CORPUS.tokens.tolist(), 1)


def test_seed_and_phase_change_order_and_pairs():
    phases = (Phase(32, 8, 0.5), Phase(32, 8, 0.5))
    first = source_of(phases=phases).batch(0)["tokens"]
    assert (first == source_of(phases=phases).batch(0)["tokens"]).all()
    assert (first != source_of(phases=phases, phase=1).batch(0)["tokens"]).any()
    assert (first != source_of(phases=phases, seed=6).batch(0)["tokens"]).any()


def test_a_corpus_smaller_than_a_batch_repeats_inside_it():
    source = source_of(FORMATS[1], corpus=numbered_corpus([[3], [4], [5]]))
    assert source.rows_per_epoch == 3
    ids = source.batch(0)["example_ids"]
    assert ids[:, 0].tolist() == [0, 0, 0, 1, 1, 1, 2, 2]
    assert sorted(ids[3:6, 1].tolist()) == [0, 1, 2]


@pytest.mark.parametrize("case", FORMATS)
def test_a_corpus_of_one_token_works(case):
    batch = source_of(case, corpus=numbered_corpus([[1]])).batch(3)
    assert (batch["tokens"][:, 0] == 2).all() and (batch["tokens"][:, 1] == FIRST_TOKEN).all()


@pytest.mark.parametrize("case", FORMATS)
def test_an_empty_corpus_is_refused(case):
    with pytest.raises(UserError, match="0 tokens, which make 0 rows of 32: prepare"):
        source_of(case, corpus=numbered_corpus([]))


def packed_examples(batch: dict) -> list[tuple]:
    """Each packed example by itself, moved to the start of a row."""
    found = []
    for row, starts in enumerate(batch["cls_positions"]):
        for slot in range(len(starts)):
            inside = batch["segments"][row] == slot + 1
            if inside.any():
                fields = (batch[n][row, inside] for n in ("tokens", "token_types", "positions"))
                label = int(batch["pair_labels"][row, slot])
                found.append((*(tuple(field.tolist()) for field in fields), label))
    return found


@pytest.mark.parametrize("case", [c for c in FORMATS if c[1] > 1])
def test_packed_rows_hold_the_unpacked_examples(case):
    packed = source_of(case)
    alone = source_of((case[0], 1))
    sides = []
    for source in (packed, alone):
        batches = evaluation_batches(source, source.rows_per_epoch, 8)
        sides.append(sorted(example for batch in batches for example in packed_examples(batch)))
    assert sides[0] == sides[1]
    assert packed.rows_per_epoch < 0.9 * alone.rows_per_epoch


@settings(max_examples=30)
@given(
    st.lists(st.lists(st.integers(1, 30), min_size=1, max_size=4), min_size=1, max_size=12),
    st.sampled_from([c for c in FORMATS if c[1] > 1]),
)
def test_packed_examples_are_isolated_and_fit(lengths, case):
    source = source_of(case, corpus=numbered_corpus(lengths))
    for index in range(3):  # several epochs: partners must not change the lengths
        batch = source.batch(index)
        for row in range(8):
            used = int((batch["segments"][row] > 0).sum())
            segments = batch["segments"][row, :used]
            assert (np.diff(segments) >= 0).all() and (np.diff(segments) <= 1).all()
            starts = np.flatnonzero(np.diff(segments, prepend=0))
            assert batch["cls_positions"][row, : len(starts)].tolist() == starts.tolist()
            assert (batch["tokens"][row, starts] == 2).all()
            assert (batch["positions"][row, starts] == 0).all()
            check_empty(batch, row, used, len(starts))


def test_evaluation_is_in_order_and_fills_the_last_batch_with_empty_rows():
    source = source_of(("doc_sentences", 1))
    expected = contiguous_rows(CORPUS, 32, cross_documents=False)
    batches = list(evaluation_batches(source, 19, 8))
    assert len(batches) == 3
    for number in range(24):
        batch, row = batches[number // 8], number % 8
        if number < 19:
            check_example(batch, row, 0, CORPUS, expected[number])
        else:
            check_empty(batch, row, 0, 0)
    halves = [list(evaluation_batches(source, 19, 8, rows)) for rows in (slice(0, 4), slice(4, 8))]
    for whole, top, bottom in zip(batches, *halves, strict=True):
        assert_same(whole, {n: np.concatenate([top[n], bottom[n]]) for n in whole})
    everything = list(evaluation_batches(source, 10**9, 8))
    assert len(everything) == -(-source.rows_per_epoch // 8)


@pytest.mark.parametrize("case", FORMATS)
def test_the_plan_is_small(case):
    source = source_of(case)
    plan = [*vars(source._examples).values(), *vars(source._packing or source).values()]
    held = sum(array.nbytes for array in plan if isinstance(array, np.ndarray))
    examples = len(source._examples)
    assert held <= 20 * examples + 400 * 8  # and a few hundred packing patterns


def test_schedule_of_bert():
    config = DataConfig(phases=(Phase(128, 256, 0.9), Phase(512, 256, 0.1)))
    schedule = PhaseSchedule.plan(config, 1_000_000)
    assert schedule.ends == (900_000, 1_000_000)
    assert schedule.steps(0) == range(900_000) and schedule.steps(1) == range(900_000, 1_000_000)


@settings(max_examples=100)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=5).filter(sum), st.integers(1, 200))
def test_schedules_cover_every_step_once(weights, steps):
    phases = tuple(Phase(fraction=weight / sum(weights)) for weight in weights)
    schedule = PhaseSchedule.plan(DataConfig(phases=phases), steps)
    assert [step for p in range(len(phases)) for step in schedule.steps(p)] == list(range(steps))
    for phase, planned in zip(range(len(phases)), phases, strict=True):
        assert abs(len(schedule.steps(phase)) - planned.fraction * steps) <= 1
