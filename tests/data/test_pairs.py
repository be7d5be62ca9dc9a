"""segment_pair and sentence_pair against BERT's and ALBERT's procedure as a plain loop."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle_rows import FIRST_TOKEN, PairOracle, check_empty, check_example, numbered_corpus

from bertjax.data import pairs as pairs_module
from bertjax.data.assemble import assemble
from bertjax.data.corpus import Corpus
from bertjax.data.pairs import IN_ORDER, RANDOM, Pairs, truncated_lengths

KEY = 1234

documents = st.lists(
    st.lists(st.integers(1, 9) | st.integers(1, 90), min_size=1, max_size=10),
    min_size=1,
    max_size=6,
)


def plan(corpus: Corpus, seq_len: int = 16, **options) -> Pairs:
    defaults = {
        "pairs": "nsp",
        "single_sentences": False,
        "short_seq_prob": 0.1,
        "key": KEY,
        "fixed_partners": False,
    }
    return Pairs.plan(corpus, seq_len, **(defaults | options))


def many_documents(count: int, sentences: int = 6, seed: int = 0) -> Corpus:
    drawn = np.random.default_rng(seed).integers(1, 9, (count, sentences))
    return numbered_corpus(drawn.tolist())


@pytest.mark.parametrize("single_sentences", [False, True])
@pytest.mark.parametrize("pairs", ["nsp", "sop", "sop_strict"])
@settings(max_examples=40)
@given(
    lengths=documents,
    seq_len=st.integers(8, 24),
    short=st.sampled_from([0.0, 0.1, 1.0]),
    block=st.sampled_from([1, 3, 1 << 18]),
    fixed=st.booleans(),
)
def test_examples_equal_the_oracle(pairs, single_sentences, lengths, seq_len, short, block, fixed):
    corpus = numbered_corpus(lengths)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pairs_module, "BLOCK", block)
        planned = plan(
            corpus,
            seq_len,
            pairs=pairs,
            single_sentences=single_sentences,
            short_seq_prob=short,
            fixed_partners=fixed,
        )
    oracle = PairOracle(
        corpus, seq_len, pairs, single_sentences, short, KEY, partner_epoch=0 if fixed else None
    )
    assert len(planned) == len(oracle.chunks)
    numbers = np.arange(len(planned))
    for epoch in (0, 3):
        spans = planned.spans(numbers, np.full_like(numbers, epoch))
        batch = assemble(corpus, spans, np.ones_like(numbers), seq_len, max_packed=1)
        for number in numbers.tolist():
            expected = oracle.row(number, epoch)
            assert len(expected.tokens) <= seq_len
            end = check_example(batch, number, 0, corpus, expected)
            check_empty(batch, number, end, 1)


@settings(max_examples=300)
@given(st.integers(1, 300), st.integers(0, 300), st.integers(2, 200))
def test_truncated_lengths_equal_dropping_one_token_at_a_time(a, b, capacity):
    computed = truncated_lengths(np.array([a]), np.array([b]), capacity)
    while a + b > capacity:
        a, b = (a - 1, b) if a > b else (a, b - 1)
    assert [int(side[0]) for side in computed] == [a, b]


def test_nsp_labels_are_more_than_half_random():
    planned = plan(many_documents(3000))
    chunks = planned.chunks(planned.starts)
    lonely = chunks.end - chunks.start == 1
    assert (chunks.kind[lonely] == RANDOM).all()
    share = (chunks.kind[~lonely] == RANDOM).mean()
    assert abs(share - 0.5) < 4 * 0.5 / np.sqrt((~lonely).sum())
    assert (chunks.kind == RANDOM).mean() > 0.5


def test_sop_swaps_half_and_leaks_a_random_document_only_where_albert_does():
    leaky, strict = (plan(many_documents(3000), pairs=p) for p in ("sop", "sop_strict"))
    np.testing.assert_array_equal(leaky.starts, strict.starts)
    chunks = leaky.chunks(leaky.starts)
    lonely = chunks.end - chunks.start == 1
    assert lonely.any()
    assert ((chunks.kind == RANDOM) == lonely).all()
    share = (chunks.kind[~lonely] == IN_ORDER).mean()
    assert abs(share - 0.5) < 4 * 0.5 / np.sqrt((~lonely).sum())
    everything = np.arange(len(strict))
    labels = strict.spans(everything, np.zeros_like(everything)).labels
    assert ((labels == -1) == lonely).all()


def test_short_targets_are_drawn_once_a_document():
    planned = plan(many_documents(5000), short_seq_prob=0.1)
    chunks = planned.chunks(planned.starts)
    for document in range(200):
        assert len(set(chunks.target[chunks.document == document].tolist())) == 1
    _, first = np.unique(chunks.document, return_index=True)
    targets = chunks.target[first]
    assert targets.min() == 2 and targets.max() == 13
    expected = 0.1 * 11 / 12  # one draw in twelve is the full length after all
    assert abs((targets < 13).mean() - expected) < 4 * np.sqrt(0.09 / 5000)


def partner_documents(planned: Pairs, epoch: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Own and partner document of every random pair."""
    corpus, everything = planned.corpus, np.arange(len(planned))
    spans = planned.spans(everything, np.full_like(everything, epoch))
    chunks = planned.chunks(planned.starts)
    random = np.flatnonzero(chunks.kind == RANDOM)
    second = spans.source[spans.token_type == 1][random]
    assert FIRST_TOKEN + second.max() <= corpus.tokens[-1]
    return chunks.document[random], np.searchsorted(corpus.document_starts, second, "right") - 1


def test_a_lone_document_is_its_own_random_partner():
    own, partner = partner_documents(plan(numbered_corpus([[3] * 40])))
    assert len(own) > 3
    assert (own == partner).all()


def test_the_partner_is_redrawn_ten_times_and_the_tenth_stands(monkeypatch):
    corpus = many_documents(2, sentences=4000)
    own, partner = partner_documents(plan(corpus))
    assert (own == partner).mean() < 0.02  # 2**-10 expected
    monkeypatch.setattr(pairs_module, "PARTNER_DRAWS", 1)
    own, partner = partner_documents(plan(corpus))
    assert abs((own == partner).mean() - 0.5) < 4 * 0.5 / np.sqrt(len(own))


def test_partners_change_with_the_epoch_unless_fixed():
    planned = plan(many_documents(200))
    _, first = partner_documents(planned, epoch=0)
    _, second = partner_documents(planned, epoch=1)
    assert (first != second).mean() > 0.9
    fixed = replace(planned, fixed_partners=True)
    np.testing.assert_array_equal(partner_documents(fixed, 0)[1], partner_documents(fixed, 1)[1])
    np.testing.assert_array_equal(partner_documents(fixed, 7)[1], first)
