"""SQuAD's metrics: cases worked by hand from evaluate-v2.0.py, and thresholds by brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertjax.metrics.squad import best_threshold, exact_match, f1, normalize


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The Cat's  meow!", "cats meow"),
        ("an A-bomb, the end", "abomb end"),  # punctuation goes first, so `A-` is no article
        ("“Quoted” – text", "“quoted” – text"),  # ASCII punctuation only
        ("Theatre and anthem", "theatre and anthem"),
        ("\tthe\n", ""),
    ],
)
def test_normalisation(text, expected):
    assert normalize(text) == expected


@pytest.mark.parametrize(
    ("prediction", "answers", "exact", "overlap"),
    [
        ("the Denver Broncos", ["Denver Broncos"], 1, 1),
        ("Broncos", ["Denver Broncos"], 0, 2 / 3),
        ("Denver Broncos of Denver", ["Denver Broncos"], 0, 2 / 3),  # 2 shared of 4 and 2
        ("in 1903", ["1904", "year 1903 in Paris"], 0, 2 / 3),  # the best reference
        ("Paris", ["London"], 0, 0),
        ("", [], 1, 1),
        ("Paris", [], 0, 0),
        ("", ["Paris"], 0, 0),
        ("the", ["a"], 1, 1),  # nothing is left of either
        ("", ["the", "Paris"], 0, 0),  # the empty reference goes, as another is left
    ],
)
def test_cases_worked_by_hand(prediction, answers, exact, overlap):
    assert exact_match(prediction, answers) == exact
    assert f1(prediction, answers) == pytest.approx(overlap)


words = st.lists(st.sampled_from(["a", "the", "cat", "Cat,", "dog", "is", "!"]), max_size=6)
texts = words.map(" ".join)


@given(texts, st.lists(texts, max_size=3))
def test_bounds(prediction, answers):
    assert 0 <= exact_match(prediction, answers) <= f1(prediction, answers) <= 1
    assert exact_match(prediction, [prediction]) == f1(prediction, [prediction]) == 1


questions = st.lists(
    st.tuples(st.integers(0, 4), st.booleans(), st.integers(-5, 5)), min_size=1, max_size=12
)


def _score_at(threshold, scores, answerable, margins):
    """What applying the threshold to each question gives."""
    kept = margins <= threshold
    return np.where(kept, scores, ~answerable).mean()


@given(questions)
def test_the_best_threshold_is_the_best_of_all_and_means_what_it_says(drawn):
    quarters, answerable, margins = (np.array(column) for column in zip(*drawn, strict=True))
    # Without an answer any prediction scores 0; an empty one, already, 1.
    scores = np.where(answerable, quarters / 4, quarters == 4)
    best, threshold = best_threshold(scores, answerable, margins.astype(float))
    assert _score_at(threshold, scores, answerable, margins) == pytest.approx(best)
    tried = np.arange(-6.5, 6.5, 0.5)
    assert best == pytest.approx(max(_score_at(t, scores, answerable, margins) for t in tried))


def test_a_threshold_worked_by_hand():
    # In order of margin: a right answer, a wrong one to an unanswerable question, half an answer.
    scores, answerable = np.array([0.5, 1.0, 0.0]), np.array([True, True, False])
    assert best_threshold(scores, answerable, np.array([3.0, -2.0, 1.0])) == (2 / 3, -2.0)
    assert best_threshold(scores, answerable, np.array([0.0, -2.0, 1.0])) == (2.5 / 3, 0.0)


def test_leaving_every_question_unanswered_can_be_best():
    best, threshold = best_threshold(np.zeros(2), np.zeros(2, bool), np.array([-4.0, -3.0]))
    assert best == 1.0
    assert threshold < -4.0
