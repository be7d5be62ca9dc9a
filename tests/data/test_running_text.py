"""A document's ids are those of its text as a whole, wherever its sentences end."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import tokenizer_kinds as kinds
from hypothesis import given, settings
from hypothesis import strategies as st

from bertjax.data import manifest, running_text
from bertjax.data.build import BuildSettings, build_corpus
from bertjax.data.corpus import SENTENCE, WORD, open_corpus
from bertjax.data.documents import Documents, tokenize
from bertjax.text.sentences import split_sentences
from bertjax.text.sources import find_sources
from bertjax.text.tokenizer import Tokenizer, load_tokenizer

MARKING = [kind for kind in kinds.KINDS if not kind.startswith(("wordpiece", "bert"))]


@pytest.fixture(scope="module")
def tokenizer(request: pytest.FixtureRequest, tmp_path_factory) -> Tokenizer:
    directory = tmp_path_factory.mktemp("tokenizer") / "brought"
    kinds.KINDS[request.param](directory)
    return load_tokenizer(directory)


def first_document(made: Documents) -> list[int]:
    return made.tokens[: made.document_starts[1]].tolist() if len(made.document_starts) > 1 else []


@pytest.mark.parametrize("tokenizer", kinds.KINDS, indirect=True)
@settings(max_examples=120)
@given(kinds.texts, st.sampled_from(["en", "zh"]))
def test_ids_are_those_of_the_whole_text(tokenizer: Tokenizer, text: str, language: str) -> None:
    made = tokenize([text], tokenizer, language)
    assert first_document(made) == (tokenizer.encode_batch([text])[0] if text.strip() else [])
    starts = made.sentence_starts[:-1]
    np.testing.assert_array_equal(np.flatnonzero(made.boundaries & SENTENCE), starts)
    assert (made.boundaries[starts] & WORD).all()


def documents() -> list[str]:
    return [text.replace("<mask>", "mask") for text in kinds.TEXTS if text.strip(" \u200b")]


@pytest.mark.parametrize("tokenizer", ["roberta", "roberta merges.txt", "modern"], indirect=True)
@pytest.mark.parametrize("longest", [1 << 16, 5])
def test_documents_of_a_byte_level_tokenizer_decode_to_themselves(
    tokenizer: Tokenizer, longest: int, monkeypatch
) -> None:
    monkeypatch.setattr(running_text, "ENCODE_CHARS", longest)
    texts = [text for text in documents() if "\u0308" not in text and "\u0301" not in text]
    made = tokenize(texts, tokenizer, "auto")
    ends = pairwise(made.document_starts.tolist())
    assert [tokenizer.decode(made.tokens[a:b].tolist()) for a, b in ends] == texts


@pytest.mark.parametrize("tokenizer", ["roberta"], indirect=True)
def test_sentences_are_those_of_the_text_and_white_space_is_no_part_of_a_word(tokenizer) -> None:
    text = "The river.  It is old.\nA house\n\tis near: Yes. So it is!"
    made = tokenize([text], tokenizer, "en")
    spans = pairwise(made.sentence_starts.tolist())
    sentences = [tokenizer.decode(made.tokens[a:b].tolist()) for a, b in spans]
    assert [sentence.strip() for sentence in sentences] == split_sentences(text, "en")
    assert sentences[1:3] == ["  It is old.\n", "A house\n\t"]  # a line feed ends a sentence
    starts = [*np.flatnonzero(made.boundaries & WORD), len(made.tokens)]
    words = [tokenizer.decode(made.tokens[a:b].tolist()) for a, b in pairwise(starts)]
    assert [word.strip() for word in words if word.strip()] == [
        *("The", "river", ".", "It", "is", "old", ".", "A", "house", "is", "near", ":"),
        *("Yes", ".", "So", "it", "is", "!"),
    ]


@pytest.mark.parametrize(
    ("tokenizer", "pair"), [("bert", None), ("roberta", [2, 0])], indirect=["tokenizer"]
)
def test_a_corpus_says_how_its_tokenizer_makes_pairs(tokenizer, pair, tmp_path) -> None:
    (tmp_path / "a.txt").write_text("One river.\n\nTwo rivers. Three.\n", encoding="utf-8")
    settings = BuildSettings(held_out=0)
    made = build_corpus(
        find_sources([str(tmp_path / "a.txt")]), tmp_path / "c", tokenizer, settings, 1
    )
    assert made.get("pair") == (pair and tuple(pair))
    assert manifest.read(tmp_path / "c")[0].get("pair") == pair
    assert open_corpus(tmp_path / "c", "train").framing == tokenizer.framing
