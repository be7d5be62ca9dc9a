"""A corpus with new words is the one that the new tokenizer makes of the text, byte for byte."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest
import tokenizer_kinds
from tiny_text import contents

from bertjax.data import new_pieces
from bertjax.data.build import BuildSettings, build_corpus
from bertjax.data.corpus import describe_corpus
from bertjax.data.new_pieces import with_new_pieces
from bertjax.text.sources import find_sources
from bertjax.text.tokenizer import load_tokenizer

WORDS = (
    *("the", "old", "carousel", "Carousel", "electrode", "electrodes", "carousel's", "river"),
    *("an electrode,", "carousel", "naïve", "2", "electrode2", "école"),
)


def write(path: Path) -> str:
    draw = random.Random(3)

    def sentence() -> str:
        words = " ".join(draw.choices(WORDS, k=draw.randint(2, 9))).capitalize()
        return words + draw.choice([".", ".", ""])  # a document may end in a new word

    texts = ["\n".join(sentence() for _ in range(draw.randint(1, 5))) for _ in range(40)]
    path.write_text("\n\n".join(texts) + "\n", encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("kind", ["bert", "bpe", "modern", "roberta", "unigram", "wordpiece cased"])
def test_it_is_the_corpus_of_the_new_tokenizer(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(new_pieces, "_BLOCK", 200)
    tokenizer_kinds.KINDS[kind](tmp_path / "kind")
    old = load_tokenizer(tmp_path / "kind")
    sources = find_sources([write(tmp_path / "text.txt")])
    settings = BuildSettings("en", held_out=0.2)
    before = build_corpus(sources, tmp_path / "old", old, settings, workers=1)
    words = old.costly_words(Counter(old.words_of((tmp_path / "text.txt").read_text())))
    assert {word.piece.strip("Ġ") for word in words} >= {"carousel", "electrode"}
    new = old.with_words([word.piece for word in words])
    runs = {word.old: new.vocab_size - len(words) + i for i, word in enumerate(words)}
    with_new_pieces(tmp_path / "old", tmp_path / "new", new, runs)
    after = build_corpus(sources, tmp_path / "direct", new, settings, workers=1)
    ours, direct = contents(tmp_path / "new"), contents(tmp_path / "direct")
    assert [name for name in direct if ours.get(name) != direct[name]] == []
    assert ours.keys() == direct.keys()
    assert after["splits"]["train"]["tokens"] < before["splits"]["train"]["tokens"]
    assert describe_corpus(tmp_path / "new")["tokenizer"] == new.fingerprint
