"""The text of entities comes from the text."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertjax.config import ExamplesConfig, FinetuneConfig, TaskConfig
from bertjax.tasks.tagged_examples import read
from bertjax.tasks.tagged_records import words_of
from bertjax.tasks.tagging import Tagging, WordScores
from bertjax.tasks.unlabelled import read_unlabelled
from bertjax.tasks.word_text import text_of_words


@given(st.text(st.sampled_from("ab 中\t\u3000é"), min_size=1), st.data())
def test_an_entity_is_the_stretch_of_its_line(text, data):
    words = words_of(text)
    if not words:
        return
    start = data.draw(st.integers(0, len(words) - 1))
    end = data.draw(st.integers(start + 1, len(words)))
    (found,) = text_of_words(words, text, [(start, end, "X")])
    assert found in text
    assert "".join(found.split()) == "".join(words[start:end])
    assert found == found.strip()


@pytest.mark.parametrize(
    ("words", "source", "text"),
    [
        ("New York", " New  York", "New  York"),
        ("New York", "in New  York", "New York"),  # a text that is not theirs
        ("北 京", "", "北京"),
        ("iPhone 手 机", "", "iPhone手机"),
        ("U S", "", "U S"),
        ("a el", "al mar", "a el"),  # words that a treebank takes apart
        ("도쿄 대학교", "", "도쿄 대학교"),
        ("กรุง เทพ", "", "กรุงเทพ"),
    ],
)
def test_words_without_their_text_are_joined_as_their_script_has_it(words, source, text):
    words = words.split()
    assert text_of_words(words, source, [(0, len(words), "X")]) == [text]


def test_predictions_of_lines_and_treebanks(tmp_path):
    cfg = FinetuneConfig(
        task=TaskConfig(family="tagging", scheme="IOB2"), data=ExamplesConfig(train="a.conll")
    )
    (tmp_path / "a.txt").write_text("to New\u00a0 York,  now\n")
    (example,), _ = read_unlabelled(str(tmp_path / "a.txt"), cfg)
    task = Tagging(cfg, ("O", "B-L", "I-L"))
    scores = WordScores(np.eye(3)[[0, 1, 2, 0]], None)
    (prediction,) = task.predict([example], [scores])
    assert prediction["entities"] == [
        {"type": "L", "start": 1, "end": 3, "text": "New\u00a0 York,"}
    ]
    (tmp_path / "a.conllu").write_text(
        "# text = (x)\n1\t(\t_\tPUNCT\t_\t_\t_\t_\t_\t_\n2\tx\t_\tNOUN\t_\t_\t_\t_\t_\t_\n"
        "3\t)\t_\tPUNCT\t_\t_\t_\t_\t_\t_\n"
    )
    (example,), _ = read(str(tmp_path / "a.conllu"), cfg, labelled=False)
    assert text_of_words(example.texts, example.source, [(0, 3, "X")]) == ["(x)"]
