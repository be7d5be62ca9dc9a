"""Entities counted as seqeval, which follows conlleval, counts them."""

from __future__ import annotations

import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bertjax.metrics.entities import entity_scores
from bertjax.tasks.tag_schemes import STRICT, all_tags, spans, strict_spans

TAGS = ["O", *(f"{letter}-{kind}" for letter in "BIES" for kind in ("PER", "LOC"))]


@settings(max_examples=150)
@given(st.data())
def test_scores_of_any_tags_are_those_of_seqeval(data):
    seqeval = pytest.importorskip("seqeval.metrics")
    sizes = data.draw(st.lists(st.integers(1, 8), min_size=1, max_size=4))
    truth, guess = (
        [data.draw(st.lists(st.sampled_from(TAGS), min_size=n, max_size=n)) for n in sizes]
        for _ in range(2)
    )
    ours = entity_scores([spans(t) for t in truth], [spans(t) for t in guess])
    with warnings.catch_warnings(action="ignore"):  # it warns of empty means
        theirs = seqeval.classification_report(truth, guess, output_dict=True, zero_division=0)
    for name in ("precision", "recall", "f1"):
        key = {"f1": "f1-score"}.get(name, name)
        assert ours[""][name] == pytest.approx(theirs["micro avg"][key])
        for kind in ours.keys() - {""}:
            assert ours[kind][name] == pytest.approx(theirs[kind][key]), (kind, name)


@pytest.mark.parametrize("scheme", STRICT)
@given(st.data())
def test_strict_entities_of_any_tags_are_those_of_seqeval(scheme, data):
    theirs = pytest.importorskip("seqeval.scheme")
    tags = all_tags(("PER", "LOC"), scheme)
    sentence = data.draw(st.lists(st.sampled_from(tags), min_size=1, max_size=8))
    (wanted,) = theirs.Entities([sentence], getattr(theirs, scheme)).entities
    assert strict_spans(sentence, scheme) == sorted((e.start, e.end, e.tag) for e in wanted)


def test_a_hand_worked_case():
    truth = [[(0, 2, "PER"), (3, 4, "LOC")], [(1, 2, "LOC")]]
    guess = [[(0, 2, "PER"), (3, 5, "LOC")], []]
    scores = entity_scores(truth, guess)
    assert scores[""] == {"precision": 1 / 2, "recall": 1 / 3, "f1": 0.4, "support": 3}
    assert scores["LOC"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 2}
    assert scores["PER"]["f1"] == 1.0
