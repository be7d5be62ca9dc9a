"""Bytes of pieces: every byte of a text once, in every kind of tokenizer."""

from __future__ import annotations

import pytest
import tokenizer_kinds as kinds
from hypothesis import given

from bertjax.probe.held_out_text import piece_bytes
from bertjax.text.tokenizer import load_tokenizer


@pytest.fixture(scope="module", params=kinds.KINDS)
def tokenizer(request, tmp_path_factory):
    directory = tmp_path_factory.mktemp("tokenizer") / "brought"
    kinds.KINDS[request.param](directory)
    return load_tokenizer(directory)


@given(kinds.texts)
def test_pieces_have_all_bytes_of_a_text(tokenizer, text):
    ids, offsets = tokenizer.encode_with_offsets(text)
    if ids:
        found = piece_bytes(text, offsets)
        assert found.shape == (len(ids),) and found.min() >= 0
        assert found.sum() == len(text.encode())


def test_white_space_is_that_of_the_piece_after_it():
    text = " é  漢x\n"
    assert piece_bytes(text, [(1, 2), (4, 5), (5, 6)]).tolist() == [3, 5, 2]
