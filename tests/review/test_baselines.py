"""Bigrams, signs and reference curves, against counts by hand."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertjax.config import DataConfig, Phase, PretrainConfig
from bertjax.data.batches import BatchSource
from bertjax.data.corpus import open_corpus
from bertjax.recipes.files import load_config
from bertjax.review.bigram import Bigrams, bigram_loss
from bertjax.review.reference import reference_of, references
from bertjax.review.sample import spread
from bertjax.review.signs import text_signs
from bertjax.train.data import unigram_entropy

CONFIGS = Path(__file__).parents[2] / "configs"


@given(st.lists(st.lists(st.integers(0, 4), min_size=1, max_size=30), min_size=1, max_size=4))
def test_bigrams_are_those_of_counts_by_hand_and_sum_to_one(texts):
    V = 5
    pairs = Counter(pair for text in texts for pair in itertools.pairwise(text))
    pieces = Counter(piece for text in texts for piece in text)
    total = sum(pieces.values())

    def by_hand(first: int, second: int) -> float:
        frequency = (pieces[second] + 1) / (total + V)
        after = {b: n for (a, b), n in pairs.items() if a == first}
        if not after:
            return frequency
        spared = 0.75 * len(after) * frequency
        return (max(after.get(second, 0) - 0.75, 0) + spared) / sum(after.values())

    first, second = np.divmod(np.arange(V * V), V)
    found = Bigrams([np.array(text, np.uint16) for text in texts], V).probability(first, second)
    expected = [by_hand(a, b) for a, b in zip(first.tolist(), second.tolist(), strict=True)]
    assert found.tolist() == pytest.approx(expected)
    assert found.reshape(V, V).sum(axis=1).tolist() == pytest.approx([1.0] * V)


def test_a_bigram_model_loses_less_than_the_unigram_entropy_of_the_same_rows(corpus):
    train, held_out = (open_corpus(corpus, split) for split in ("train", "validation"))
    data = DataConfig(format="full_sentences", short_seq_prob=0.0, phases=(Phase(32, 16),))
    never = (train.special.cls, train.special.sep)
    rows = BatchSource(held_out, data, 0, 0)
    assert bigram_loss(train, rows, 32, never) < unigram_entropy(rows, 32, never) - 0.5


@pytest.mark.parametrize(
    ("length", "most"), [(0, 640), (640, 640), (641, 640), (10**10, 4 * 10**6)]
)
def test_a_sample_is_spread_over_all_of_a_corpus(length, most):
    parts = spread(length, most)
    assert parts[0].start == 0 and parts[-1].stop == length
    assert all(a.stop <= b.start for a, b in itertools.pairwise(parts))
    assert sum(part.stop - part.start for part in parts) == min(length, most)


def test_copies_of_sentences_are_counted_as_by_hand(corpus):
    whole = open_corpus(corpus, "train")
    starts = whole.sentence_starts.tolist()
    texts = [tuple(whole.tokens[a:b].tolist()) for a, b in itertools.pairwise(starts)]
    seen: set[tuple[int, ...]] = set()
    copied = 0
    for text in (long := [text for text in texts if len(text) >= 8]):
        copied += len(text) * (text in seen)
        seen.add(text)
    assert text_signs(whole).repeated == pytest.approx(copied / sum(map(len, long)))


@pytest.mark.parametrize("reference", references(), ids=lambda one: one.recipe)
def test_a_shipped_curve_is_that_of_its_recipe(reference):
    """The recipe as it is today, whatever its text, its masks, its rate and its length."""
    cfg = load_config(CONFIGS / f"{reference.recipe}.py", PretrainConfig)
    cfg = replace(cfg, model=replace(cfg.model, vocab_size=30_000)).with_trained_heads()
    assert reference_of(cfg) == reference
    assert reference_of(replace(cfg, model=replace(cfg.model, num_layers=3))) is None
    middle = (reference.tokens[0] + reference.tokens[-1]) / 2
    low, high = reference.band(middle)
    assert 0 < low <= high < 10 and reference.band(2 * reference.tokens[-1]) is None
    curves = reference.curves(6.0, 1000.0)
    at_middle = [6.0 - float(np.interp(middle / 1000, *curve)) for curve in curves]
    assert (min(at_middle), max(at_middle)) == pytest.approx((low, high))
