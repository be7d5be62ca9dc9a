"""Several corpora in one stream: shares that are exact, rows that are each corpus's own."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle_rows import numbered_corpus
from test_batches import ONE_PHASE, assert_same

from bertjax.config import DataConfig, Phase, WeightedCorpus
from bertjax.data.batches import BatchSource
from bertjax.data.loader import load_batches
from bertjax.data.mixture import Mixture, training_batches
from bertjax.errors import UserError

NAMES = ("wiki", "books", "law")
CORPORA = {
    name: numbered_corpus(np.random.default_rng(seed).integers(1, 12, (40 + seed, 5)).tolist())
    for seed, name in enumerate(NAMES)
}


def config(weights=(1.0, 3.0, 0.5), phases=ONE_PHASE, **fields) -> DataConfig:
    corpora = tuple(map(WeightedCorpus, NAMES, weights))
    return DataConfig(corpora=corpora, phases=phases, **fields)


def mixture(cfg: DataConfig, phase: int = 0) -> Mixture:
    found = training_batches(CORPORA, cfg, phase, seed=5)
    assert isinstance(found, Mixture)
    return found


def turns(cfg: DataConfig, rows: int) -> list[str]:
    """Whose each of the first rows is."""
    source = mixture(cfg)
    batches = (source.batch(i) for i in range(rows // source.batch_size))
    return [name for b in batches for name in source.describe(b["example_ids"])["corpus"]]


def test_weights_are_whole_shares():
    assert config((1.0, 3.0, 0.5)).shares(0) == (2, 6, 1)
    assert config((0.2, 0.8, 0.0)).shares(0) == (1, 4, 0)
    assert config((100.0, 100.0, 100.0)).shares(0) == (1, 1, 1)


@settings(max_examples=60)
@given(st.lists(st.integers(1, 40), min_size=2, max_size=6))
def test_shares_are_exact_in_each_round_and_near_before(shares):
    """Rows in place of batches: what takes turns is told apart by its own stream alone."""

    class Rows:
        rows_per_epoch, batch_size = 1, 1

        def streamed(self, at):
            return {"example_ids": np.stack([at, 0 * at], 1).astype(np.uint32)}

    source = Mixture({str(i): Rows() for i in range(len(shares))}, shares)
    counts, total = np.zeros(len(shares), int), sum(shares)
    for n in range(1, 2 * total + 1):
        found = source.describe(source.batch(n - 1)["example_ids"])
        who = int(found["corpus"][0])
        assert found["epoch_and_row"] == [[counts[who], 0]]  # its rows come in their order
        counts[who] += 1
        assert (abs(counts - n * np.asarray(shares) / total) <= (len(shares) + 1) / 2).all()
        if n % total == 0:
            assert (counts == n // total * np.asarray(shares)).all()


@pytest.mark.parametrize("fields", [{}, {"format": "sentence_pair+nsp", "max_packed": 4}])
def test_each_row_is_the_next_of_its_own_corpus(fields):
    """Brute force: one row after another, each from the stream of its corpus alone."""
    cfg = config(**fields)
    alone = DataConfig(phases=(Phase(32, 1),), **fields)
    streams = {name: BatchSource(corpus, alone, 0, 5) for name, corpus in CORPORA.items()}
    source, taken, seen = mixture(cfg), Counter(), set()
    for index in range(12):
        batch = source.batch(index)
        found = source.describe(batch["example_ids"])
        for row, name in enumerate(found["corpus"]):
            expected = streams[name].batch(taken[name])
            taken[name] += 1
            assert found["epoch_and_row"][row] == expected["example_ids"][0].tolist()
            for key, array in batch.items():
                if key != "example_ids":
                    assert array.dtype == expected[key].dtype
                    np.testing.assert_array_equal(array[row], expected[key][0])
            seen.add(tuple(batch["example_ids"][row].tolist()))
    assert len(seen) == 12 * 8  # no two rows have a number, and so their masks, in common
    assert taken["books"] / taken["wiki"] == pytest.approx(3, abs=0.2)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_depend_on_nothing_but_their_index(workers):
    source, again, share = mixture(config()), mixture(config()), slice(2, 7)
    with load_batches(source, 3, 9, workers, prefetch=2, rows=share) as stream:
        for index, batch in enumerate(stream, start=3):
            assert_same(batch, again.batch(index, share))
            whole = again.batch(index)
            assert_same(batch, {name: array[share] for name, array in whole.items()})


def test_a_phase_has_weights_of_its_own_and_one_corpus_alone_is_itself():
    phases = (Phase(32, 8, 0.5), Phase(32, 8, 0.5, weights=(0.0, 1.0, 0.0)))
    cfg = config(phases=phases)
    assert set(turns(cfg, 80)) == set(NAMES)
    only = training_batches(CORPORA, cfg, 1, seed=5)
    assert isinstance(only, BatchSource)
    plain = BatchSource(CORPORA["books"], DataConfig(phases=(*phases[:1], Phase(32, 8, 0.5))), 1, 5)
    assert_same(only.batch(4), plain.batch(4))
    ids = only.batch(4)["example_ids"]
    assert only.describe(ids) == {"epoch_and_row": ids.tolist()}
    without = config((1.0, 3.0, 0.0))
    assert set(turns(without, 80)) == {"wiki", "books"}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"corpus": "x"}, "data.corpus=x and data.corpora with 3 entries: give one of them"),
        ({"corpora": (WeightedCorpus(),)}, "an entry whose path names no directory"),
        (
            {"corpora": (WeightedCorpus("a/c"), WeightedCorpus("b/c"))},
            "two that are called c: the last part",
        ),
        (
            {"phases": (Phase(32, 8, weights=(1.0, 2.0)),)},
            "data.phases.0.weights=1,2 with 3 corpora: give one weight for each",
        ),
        ({"phases": (Phase(32, 8, weights=(0.0, 0.0, 0.0)),)}, "leave no corpus"),
        ({"phases": (Phase(32, 8, weights=(0.1234567, 1.0, 1.0)),)}, "even after .* round them"),
    ],
)
def test_mistakes_are_refused(fields, said):
    corpora = tuple(map(WeightedCorpus, NAMES))
    with pytest.raises(UserError, match=said):
        DataConfig(**{"corpora": corpora} | fields)
