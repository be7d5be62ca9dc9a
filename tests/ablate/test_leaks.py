"""Runs of pieces that a text and a probe share, against a search by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertjax.ablate import leaks


def by_hand(tokens: list[int], sentence: list[int]) -> bool:
    length = min(len(sentence), leaks.LONGEST)
    if length < leaks.FEWEST:
        return False
    runs = {tuple(tokens[i : i + length]) for i in range(len(tokens) - length + 1)}
    return any(tuple(sentence[i : i + length]) in runs for i in range(len(sentence) - length + 1))


@given(
    st.lists(st.integers(0, 2), max_size=80),
    st.lists(st.lists(st.integers(0, 2), max_size=20), min_size=1, max_size=6),
    st.integers(1, 40),
)
def test_the_runs_found_are_those_of_a_search_by_hand(tokens, sentences, chunk):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(leaks, "_CHUNK", chunk)
        found = leaks.leaked_sentences(np.array(tokens, np.uint16), list(map(np.array, sentences)))
    assert found.tolist() == [by_hand(tokens, sentence) for sentence in sentences]
