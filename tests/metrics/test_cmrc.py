"""CMRC's metrics: cases worked by hand, difflib for the longest run, NLTK for words."""

from __future__ import annotations

import difflib
import json
import lzma
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertjax.metrics.cmrc import exact_match, f1, segments


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("光荣和ω-force", ["光", "荣", "和", "ωforce"]),  # the hyphen goes before words are cut
        ("《战国无双3》", ["战", "国", "无", "双", "3"]),
        (" NBA 2,000.5人 ", ["nba", "2,000.5", "人"]),
        ("Don't it's", ["do", "n't", "it", "'s"]),
        ("U.S. army.", ["u.s.", "army", "."]),  # only the last full stop ends a sentence
        ("“12”：‘甲’…", ["12", "‘", "甲", "…"]),  # marks that the script forgets
        ("", []),
    ],
)
def test_segments(text, expected):
    assert segments(text) == expected


@pytest.mark.parametrize(
    ("prediction", "answers", "exact", "overlap"),
    [
        ("光荣公司。", ["《光荣公司》"], 1, 1),
        ("光荣", ["光荣公司"], 0, 2 / 3),
        ("公司光荣", ["光荣公司"], 0, 1 / 2),  # a run, not a bag: two of four characters
        ("光大公荣", ["光荣公司"], 0, 1 / 4),  # nor a subsequence
        ("北京", ["上海", "北京市"], 0, 4 / 5),
        ("AC米兰", ["ac米兰"], 1, 1),
        ("北京", ["上海"], 0, 0),
        ("", ["上海"], 0, 0),
        ("。", ["！"], 1, 0),  # as the script has it
    ],
)
def test_cases_worked_by_hand(prediction, answers, exact, overlap):
    assert exact_match(prediction, answers) == exact
    assert f1(prediction, answers) == pytest.approx(overlap)


characters = st.text(alphabet="甲乙丙丁", max_size=12)


@given(characters, characters)
def test_the_longest_run_is_that_of_difflib(one, two):
    match = difflib.SequenceMatcher(None, one, two, autojunk=False).find_longest_match()
    expected = 2 * match.size / (len(one) + len(two)) if match.size else 0
    assert f1(one, [two]) == pytest.approx(expected)


def test_words_of_real_answers_are_cut_as_nltk_does(shared_data):
    tokenizer = pytest.importorskip("nltk.tokenize").NLTKWordTokenizer()
    texts = set()
    for name in ("cmrc2018/cmrc2018_dev.json.xz", "drcd/DRCD_dev.json.xz"):
        with lzma.open(shared_data / name, "rt", encoding="utf-8") as stream:
            content = json.load(stream)
        paragraphs = [p for article in content["data"] for p in article["paragraphs"]]
        texts |= {a["text"] for p in paragraphs for q in p["qas"] for a in q["answers"]}
    foreign = [text for text in sorted(texts) if re.search("[a-z]|[0-9].*[^0-9]", text.lower())]
    assert len(foreign) > 1000
    dropped = str.maketrans("", "", "-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")
    for text in foreign[::4]:
        stretches = re.split("([一-龥])", text.lower().strip().translate(dropped))
        expected = [word for stretch in stretches for word in tokenizer.tokenize(stretch)]
        quotes = {"``": '"', "''": '"'}
        assert segments(text) == [quotes.get(word, word) for word in expected]
