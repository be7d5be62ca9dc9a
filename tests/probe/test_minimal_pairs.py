"""Reading minimal pairs, and what counts as right."""

from __future__ import annotations

import json
import lzma

import numpy as np
import pytest

from bertjax.errors import UserError
from bertjax.probe.minimal_pairs import Pair, by_phenomenon, pair_scores, read_pairs

ROWS = [
    {
        "UID": "b",
        "linguistics_term": "y",
        "sentence_good": "It is.",
        "sentence_bad": "It are.",
    },
    {"UID": "a", "phenomenon": "x", "sentence_good": "他来了。", "sentence_bad": "来了他。"},
    {"sentence_good": "Same.", "sentence_bad": "Same."},
]
PAIRS = [
    Pair("It is.", "It are.", "b", "y"),
    Pair("他来了。", "来了他。", "a", "x"),
    Pair("Same.", "Same.", "", ""),
]


def test_json_lines_compressed_or_not_are_read(tmp_path):
    text = "".join(json.dumps(row) + "\n" for row in ROWS)
    (tmp_path / "pairs.jsonl").write_text(text)
    with lzma.open(tmp_path / "pairs.jsonl.xz", "wt") as file:
        file.write(text)
    for name in ("pairs.jsonl", "pairs.jsonl.xz"):
        assert read_pairs(str(tmp_path / name)) == PAIRS


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"good": "a", "bad": "b"}], "no field 'sentence_good'"),
        ([{**ROWS[0], "sentence_bad": " "}], "sentence_bad is ' ', not a sentence"),
        ([{**ROWS[0], "sentence_good": 3}], "sentence_good is 3, not a sentence"),
        ([{**ROWS[0], "sentence_good": "\ud83d"}], "sentence_good holds half a surrogate pair"),
        ([{**ROWS[0], "UID": "\ud83d"}], "UID holds half a surrogate pair"),
        (
            [{**ROWS[0], "linguistics_term": "\ud83d"}],
            "linguistics_term holds half a surrogate pair",
        ),
    ],
)
def test_what_is_no_pair_is_refused(rows, message, tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(UserError, match=message):
        read_pairs(str(path))


def test_accuracy_is_a_mean_of_paradigms_and_a_tie_is_an_error():
    pairs = [Pair("", "", paradigm, "xxyx"["abcd".index(paradigm)]) for paradigm in "aaabcd"]
    good = np.array([1.0, 2, 3, 1, 5, 5])
    bad = np.array([0.0, 2, 4, 0, 6, 4])
    scores = pair_scores("pairs", pairs, good, bad)
    assert scores.by_group() == {"a": pytest.approx(1 / 3), "b": 1.0, "c": 0.0, "d": 1.0}
    phenomena = by_phenomenon(pairs, scores)
    assert {name: one.headline for name, one in phenomena.items()} == {
        "x": pytest.approx(7 / 9),
        "y": 0.0,
    }
    assert phenomena["y"].by_group() == {"c": 0.0}
    assert scores.headline == pytest.approx((1 / 3 + 2) / 4) == scores.contributions.mean()


def test_a_likelihood_that_is_no_number_is_no_error_either():
    pairs = [Pair("", "", "a", "x")] * 3
    scores = pair_scores("pairs", pairs, np.array([1.0, np.nan, 1]), np.array([0.0, 0, np.nan]))
    np.testing.assert_array_equal(scores.values, [1.0, np.nan, np.nan])


def test_a_name_that_two_phenomena_share_is_two_paradigms():
    pairs = [Pair("", "", "", "x"), Pair("", "", "", "x"), Pair("", "", "", "y")]
    scores = pair_scores("pairs", pairs, np.array([1.0, 1, 0]), np.zeros(3))
    assert scores.headline == 0.5
