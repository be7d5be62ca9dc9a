"""The likeliest answers of a question: from logits of windows, and from several models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

import numpy as np

from bertjax.tasks.span_windows import Window


class Candidate(TypedDict):
    """A possible answer."""

    text: str
    start: int  # characters [start, end) of the context
    end: int
    logit: float  # start and end together; of several models: the log of `probability`
    probability: float  # among the candidates, and "no answer" where the task has it


class SpanScores(TypedDict):
    """Scores of one question."""

    candidates: list[Candidate]  # best first, each text once
    null: float  # of "no answer", comparable with `logit`


def best_candidates(
    windows: Sequence[Window],
    logits: Sequence[np.ndarray],
    n_best: int,
    max_answer: int,
    no_answer: bool,
) -> SpanScores:
    """The n-best answers over the windows of one question (google-research/bert run_squad.py).

    An answer starts at a piece that has most context in its window, has at most `max_answer`
    pieces and ends in the same window. All such spans are compared, not only those of the
    likeliest starts and ends. Of equal texts the best is kept, so there may be fewer than `n_best`.

    Args:
        windows: of the question.
        logits: [n, 2] for each window's row of n tokens: start and end.
        n_best: candidates at most.
        max_answer: pieces of an answer at most.
        no_answer: whether "no answer" has a share of the probability. Its score is that of [CLS]
            as start and end, the least over the windows.
    """
    spans = [
        (score, window, first, last)
        for window, row in zip(windows, logits, strict=True)
        for score, first, last in _best_spans(window, row, n_best, max_answer)
    ]
    spans.sort(key=lambda span: (-span[0], span[2], span[3]))
    null = min(float(row[0].astype(np.float64).sum()) for row in logits)
    found: dict[str, tuple[float, int]] = {}  # logit and first character, by text
    for score, window, first, last in spans:
        context = window.context
        start, end = int(context.starts[first]), int(context.ends[last])
        text = context.text[start:end]
        start += len(text) - len(text.lstrip())  # SentencePiece counts the space before a word
        text = text.strip()
        if text and text not in found and len(found) < n_best:
            found[text] = score, start
    total = _log_total([score for score, _ in found.values()], null, no_answer)
    return SpanScores(
        candidates=[
            _candidate(text, start, score, float(np.exp(score - total)))
            for text, (score, start) in found.items()
        ],
        null=null,
    )


def _candidate(text: str, start: int, logit: float, probability: float) -> Candidate:
    return Candidate(
        text=text, start=start, end=start + len(text), logit=logit, probability=probability
    )


def _log_total(logits: Sequence[float], null: float, no_answer: bool) -> float:
    """Log of the sum of what shares the probability; 0 where nothing does."""
    terms = [*logits, null] if no_answer else list(logits)
    return float(np.logaddexp.reduce(terms)) if terms else 0.0


def _best_spans(
    window: Window, logits: np.ndarray, n_best: int, max_answer: int
) -> list[tuple[float, int, int]]:
    """Score, first and last piece in the context of the best spans of a window."""
    count = len(window.pieces)
    width = min(max_answer, count)
    if count == 0:
        return []
    row = logits[window.first : window.first + count].astype(np.float64)
    starts = np.where(window.most_context, row[:, 0], -np.inf)
    scores = starts[:, None] + _following(row[:, 1], width, -np.inf)  # [k, width]
    # Where the middle was cut out, no answer reaches across the gap.
    steps = _following(window.pieces, width, 0) - window.pieces[:, None]
    scores[steps != np.arange(width)] = -np.inf
    flat = scores.ravel()
    best = np.argpartition(-flat, n_best)[:n_best] if n_best < len(flat) else np.arange(len(flat))
    best = best[np.isfinite(flat[best])]
    first, more = np.divmod(best, width)
    return list(
        zip(
            flat[best].tolist(),
            window.pieces[first].tolist(),
            window.pieces[first + more].tolist(),
            strict=True,
        )
    )


def _following(values: np.ndarray, width: int, beyond: float) -> np.ndarray:
    """Each of the values [k] and the `width` - 1 behind it: [k, width]."""
    padded = np.append(values, np.full(width - 1, beyond, values.dtype))
    return np.lib.stride_tricks.sliding_window_view(padded, width)


def vote(
    many: Sequence[SpanScores], weights: Sequence[float], n_best: int, no_answer: bool
) -> SpanScores:
    """Soft voting: the weighted mean of the models' probabilities of each answer text.

    A text that is not among a model's candidates has none of that model's vote. An answer stands
    where the model that gives it the largest share of the vote found it. Logits become logs of the
    mean, and `null` likewise, so that "no answer" leads by as much as before where there is one
    model only.
    """
    shares: dict[str, list[float]] = {}  # of a text: log of weight times probability, by model
    places: dict[str, int] = {}
    nulls: list[float] = []
    for scores, weight in zip(many, np.asarray(weights) / np.sum(weights), strict=True):
        if weight == 0:
            continue
        logits = [candidate["logit"] for candidate in scores["candidates"]]
        total = _log_total(logits, scores["null"], no_answer) - float(np.log(weight))
        nulls.append(scores["null"] - total)
        for candidate in scores["candidates"]:
            text, share = candidate["text"], candidate["logit"] - total
            if share > max(shares.setdefault(text, []), default=-np.inf):
                places[text] = candidate["start"]
            shares[text].append(share)
    means = {text: float(np.logaddexp.reduce(logs)) for text, logs in shares.items()}
    order = sorted(means, key=lambda text: (-means[text], places[text], text))
    return SpanScores(
        candidates=[
            _candidate(text, places[text], means[text], float(np.exp(means[text])))
            for text in order[:n_best]
        ],
        null=float(np.logaddexp.reduce(nulls)),
    )
