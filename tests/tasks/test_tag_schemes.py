"""Entities survive being written as tags, and only valid tags are called valid."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertjax.config.finetune import IOBES_SPELLINGS
from bertjax.tasks.tag_schemes import (
    LETTERS,
    all_tags,
    allowed_transitions,
    problem,
    respelt,
    spans,
    spelling_of,
    split,
    tags_of,
)


@st.composite
def entities(draw):
    """Spans that do not overlap, and the length of their sentence."""
    cuts = sorted(draw(st.sets(st.integers(0, 12), max_size=8)))
    kinds = st.sampled_from(["PER", "LOC", "ORG"])
    found = [(a, b, draw(kinds)) for a, b in itertools.pairwise(cuts) if draw(st.booleans())]
    return found, 12


@pytest.mark.parametrize("scheme", ["IOB1", "IOB2", "IOBES"])
@given(entities())
def test_written_and_read_again(scheme, made):
    found, length = made
    tags = tags_of(found, length, scheme)
    assert problem(tags, scheme) is None
    assert spans(tags) == found


@given(entities(), st.sampled_from(sorted(IOBES_SPELLINGS)))
def test_spellings_of_iobes_are_told_and_kept(made, spelling):
    """Oracle: seqeval, which has a class for three of them."""
    found, length = made
    standard = tags_of(found, length, "IOBES")
    spelt = [respelt(tag, spelling) for tag in standard]
    assert spans(spelt) == found and problem(spelt, "IOBES") is None
    assert [respelt(tag, "IOBES") for tag in spelt] == standard
    assert [respelt(tag, spelling_of(spelt)) for tag in standard] == spelt
    seqeval = pytest.importorskip("seqeval.scheme")
    if hasattr(seqeval, spelling if spelling != "IOBES" else "IOBES"):
        theirs = seqeval.Entities([spelt], getattr(seqeval, spelling)).entities[0]
        assert [(e.start, e.end, e.tag) for e in theirs] == found


@given(entities())
def test_io_joins_neighbours_of_one_type_and_nothing_else(made):
    found, length = made
    joined = []
    for start, end, kind in found:
        if joined and joined[-1][1:] == (start, kind):
            joined[-1] = (joined[-1][0], end, kind)
        else:
            joined.append((start, end, kind))
    assert spans(tags_of(found, length, "IO")) == joined


@pytest.mark.parametrize("scheme", LETTERS)
def test_a_sequence_is_valid_if_it_is_what_some_entities_are_written_as(scheme):
    """All sequences of four tags of two types."""
    labels = all_tags(["X", "Y"], scheme)
    start, transition, end = allowed_transitions(labels, scheme)
    ids = {tag: i for i, tag in enumerate(labels)}
    for tags in itertools.product(labels, repeat=4):
        valid = problem(tags, scheme) is None
        assert valid == (tags_of(spans(tags), 4, scheme) == list(tags)), tags
        path = [ids[tag] for tag in tags]
        by_rules = (
            start[path[0]]
            and end[path[-1]]
            and all(transition[a, b] for a, b in itertools.pairwise(path))
        )
        assert valid == by_rules, tags


def test_other_spellings_and_strange_tags():
    assert spans(["B-X", "L-X", "U-Y", "O"]) == [(0, 2, "X"), (2, 3, "Y")]
    assert split("B-a-b") == ("B", "a-b")
    assert problem(["O", "NN"], "IOB2")[0] == 1
    assert problem(["B-"], "IOB2")[0] == 0
    assert problem(["I-X"], "IOB2") == (0, "'I-X' cannot begin a sentence")
    assert problem(["NN", "VB"], "none") is None
