"""The likeliest answers against a plain loop over all spans, and votes worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertjax.config import ExamplesConfig
from bertjax.tasks.span_candidates import best_candidates, vote
from bertjax.tasks.span_windows import Context, Window, cut


def plain_candidates(windows, logits, n_best, max_answer):
    """All spans one by one, as the paper says it; (score, text, start) of the best texts."""
    spans = []
    for window, row in zip(windows, logits, strict=True):
        for i, first in enumerate(window.pieces):
            for j, last in enumerate(window.pieces):
                gap = last - first != j - i
                if gap or not 0 <= j - i < max_answer or not window.most_context[i]:
                    continue
                start, end = window.context.starts[first], window.context.ends[last]
                score = float(row[window.first + i, 0]) + float(row[window.first + j, 1])
                spans.append((-score, int(first), int(last), window.context.text[start:end]))
    best = {}
    for score, first, _, text in sorted(spans):
        best.setdefault(text, (-score, first))
    return [(score, text, first) for text, (score, first) in best.items()][:n_best]


@given(st.data())
def test_candidates_are_those_of_a_plain_loop(data):
    length, size = data.draw(st.integers(1, 24)), data.draw(st.integers(1, 12))
    step = data.draw(st.integers(0, size))
    how = data.draw(st.sampled_from(["head", "middle"]))
    text = "".join(chr(0x4E00 + i) for i in range(length))  # no two spans have the same text
    context = Context(text, np.arange(length), np.arange(length), np.arange(length) + 1)
    made = cut(context, 3, size, ExamplesConfig(window_step=step, truncation=how))
    draws = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    logits = [draws.normal(size=(len(w.pieces) + 4, 2)).astype(np.float32) for w in made]
    n_best, max_answer = data.draw(st.integers(1, 30)), data.draw(st.integers(1, 14))
    scores = best_candidates(made, logits, n_best, max_answer, no_answer=True)
    found = [(c["logit"], c["text"], c["start"]) for c in scores["candidates"]]
    assert found == plain_candidates(made, logits, n_best, max_answer)
    assert scores["null"] == min(float(row[0, 0]) + float(row[0, 1]) for row in logits)
    weights = np.exp([*(c["logit"] for c in scores["candidates"]), scores["null"]])
    shares = [c["probability"] for c in scores["candidates"]]
    np.testing.assert_allclose(shares, (weights / weights.sum())[:-1], rtol=1e-9)


def test_equal_texts_count_once_and_spaces_of_sentencepiece_do_not():
    text = "a b a"
    context = Context(text, np.arange(3), np.array([0, 1, 3]), np.array([1, 3, 5]))
    window = Window(context, 1, np.arange(3), np.ones(3, bool))
    logits = np.array([[0, 0], [1, 1], [2, 2], [3, 3], [9, 9]], np.float32)
    found = best_candidates([window], [logits], 20, 1, no_answer=False)["candidates"]
    assert [(c["text"], c["start"], c["end"]) for c in found] == [("a", 4, 5), ("b", 2, 3)]
    assert sum(c["probability"] for c in found) == pytest.approx(1)


def scores_of(null=0.0, **logits):
    """Scores of one question whose context is "stuvwx", from logits of single letters."""
    candidates = [
        {"text": s, "start": "stuvwx".index(s), "end": "stuvwx".index(s) + 1, "logit": v}
        for s, v in sorted(logits.items(), key=lambda item: -item[1])
    ]
    return {"candidates": [{**c, "probability": 0.0} for c in candidates], "null": null}


def test_soft_voting_by_hand():
    one = scores_of(null=np.log(2), s=np.log(5), t=np.log(3))  # of 10
    two = scores_of(null=np.log(1), t=np.log(6), u=np.log(3))  # of 10
    voted = vote([one, two], [1, 3], 20, no_answer=True)
    shares = {c["text"]: c["probability"] for c in voted["candidates"]}
    assert shares == pytest.approx({"t": 0.525, "u": 0.225, "s": 0.125})
    assert list(shares) == ["t", "u", "s"]
    assert np.exp(voted["null"]) == pytest.approx(0.125)
    assert [c["text"] for c in vote([one, two], [1, 0], 1, True)["candidates"]] == ["s"]


logits = st.integers(-1200, 1200).map(lambda n: n / 4)


@given(logits, st.lists(logits, min_size=1, max_size=6, unique=True))
def test_one_model_alone_is_left_as_it_is(null, values):
    scores = scores_of(null, **dict(zip("stuvwx", values, strict=False)))
    for no_answer in (True, False):
        voted = vote([scores], [2.0], 20, no_answer)
        best, other = scores["candidates"][0], voted["candidates"][0]
        assert other["text"] == best["text"]
        lead = voted["null"] - other["logit"]
        assert lead == pytest.approx(scores["null"] - best["logit"], abs=1e-9)
