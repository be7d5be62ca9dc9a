"""full_sentences, doc_sentences and full_rows against loops over sentences and tokens."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle_rows import (
    SPECIAL,
    check_empty,
    check_example,
    contiguous_rows,
    numbered_corpus,
    sentences_of,
)

from bertjax.config import DataConfig, Phase
from bertjax.data import rows
from bertjax.data.batches import BatchSource, evaluation_batches
from bertjax.errors import UserError

documents = st.lists(
    st.lists(st.integers(1, 9) | st.integers(1, 40), min_size=1, max_size=8),
    min_size=1,
    max_size=8,
)


def rows_in_order(corpus, input_format: str, seq_len: int) -> dict[str, np.ndarray]:
    config = DataConfig(format=input_format, phases=(Phase(seq_len, 4),))
    source = BatchSource(corpus, config, phase=0, seed=0)
    batches = list(evaluation_batches(source, source.rows_per_epoch, 4))
    return {name: np.concatenate([b[name] for b in batches]) for name in batches[0]}


@pytest.mark.parametrize("input_format", ["full_sentences", "doc_sentences"])
@settings(max_examples=60)
@given(lengths=documents, seq_len=st.integers(8, 24), block=st.sampled_from([1, 3, 1 << 18]))
def test_rows_equal_the_oracle(input_format, lengths, seq_len, block):
    corpus = numbered_corpus(lengths)
    expected = contiguous_rows(corpus, seq_len, input_format == "full_sentences")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "BLOCK", block)  # plans must not depend on where blocks end
        batch = rows_in_order(corpus, input_format, seq_len)
    for index, row in enumerate(expected):
        check_empty(batch, index, check_example(batch, index, 0, corpus, row), 1)
    assert not batch["segments"][len(expected) :].any()


@pytest.mark.parametrize("input_format", ["full_sentences", "doc_sentences"])
@settings(max_examples=60)
@given(lengths=documents, seq_len=st.integers(8, 24))
def test_every_token_appears_once_and_specials_where_they_belong(input_format, lengths, seq_len):
    corpus = numbered_corpus(lengths)
    batch = rows_in_order(corpus, input_format, seq_len)
    tokens = batch["tokens"]
    assert tokens.shape[1] == seq_len
    text = tokens[tokens > SPECIAL.mask]
    np.testing.assert_array_equal(text, corpus.tokens)  # all of them, in order
    used = batch["segments"].any(1)
    assert (tokens[used, 0] == SPECIAL.cls).all()
    assert ((tokens == SPECIAL.cls).sum(1) == used).all()
    sizes = (batch["segments"] > 0).sum(1)[used]
    assert (tokens[used, sizes - 1] == SPECIAL.sep).all()
    if input_format == "doc_sentences":
        assert ((tokens == SPECIAL.sep).sum(1) == used).all()


@settings(max_examples=60)
@given(lengths=documents, seq_len=st.integers(8, 24))
def test_full_rows_are_the_documents_laid_end_to_end_and_cut(lengths, seq_len):
    corpus = numbered_corpus(lengths)
    line: list[int] = []
    for document in sentences_of(corpus):
        line += [token for sentence in document for token in sentence] + [SPECIAL.sep]
    line.pop()
    room = seq_len - 2
    if len(line) < room:
        with pytest.raises(UserError, match="0 rows"):
            rows_in_order(corpus, "full_rows", seq_len)
        return
    batch = rows_in_order(corpus, "full_rows", seq_len)
    count = len(line) // room
    cut = np.array(line[: count * room]).reshape(count, room)
    expected = np.pad(cut, ((0, 0), (1, 1)), constant_values=(SPECIAL.cls, SPECIAL.sep))
    np.testing.assert_array_equal(batch["tokens"][:count], expected)
    assert (batch["segments"][:count] == 1).all()  # no padding: attention needs no mask
    assert not batch["segments"][count:].any()
    special = np.isin(expected, [SPECIAL.cls, SPECIAL.sep])
    assert batch["word_starts"][:count][special].all()


def test_full_sentences_separates_documents():
    corpus = numbered_corpus([[2, 1], [2]])
    batch = rows_in_order(corpus, "full_sentences", 10)
    assert batch["tokens"][0].tolist() == [2, 5, 6, 7, 3, 8, 9, 3, 0, 0]
    assert not batch["token_types"].any()


def test_a_document_longer_than_many_rows_is_cut_without_loss():
    corpus = numbered_corpus([[1000], [3]])
    batch = rows_in_order(corpus, "doc_sentences", 12)
    assert (batch["tokens"][:100, 1:11] == corpus.tokens[:1000].reshape(100, 10)).all()
    assert batch["tokens"][100].tolist()[:5] == [2, 1005, 1006, 1007, 3]
