"""Extractive question answering: the span of a context that answers a question, or none."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from bertjax.config import FinetuneConfig
from bertjax.errors import UserError
from bertjax.metrics import cmrc, squad
from bertjax.tasks.sentences import all_labelled
from bertjax.tasks.span_candidates import SpanScores, best_candidates, vote
from bertjax.tasks.span_windows import Context, Window, cut, read_context
from bertjax.tasks.task import Example, Prediction, Rows, label_of
from bertjax.text.tokenizer import Tokenizer

SHOWN = 5  # candidates in a prediction
_CLS = (0, 0)  # target of a window that does not hold the answer
_NOWHERE = (-1, -1)  # of an answer that no token stands for: the loss leaves the row out
_SCORINGS = {"squad": (squad.f1, squad.exact_match), "cmrc": (cmrc.f1, cmrc.exact_match)}


class SpanQA:
    """An answer out of the context of every question.

    Examples have texts (question, context) and as label their answers as (start, text), none where
    the question has none. `null_threshold`: with `task.no_answer`, no answer is given where
    "no answer" leads the best one by more; `tune_threshold` finds it.
    """

    metrics: tuple[str, ...] = ("f1", "exact_match")
    labels: tuple[str, ...] = ()

    def __init__(
        self, cfg: FinetuneConfig, labels: tuple[str, ...] = (), null_threshold: float = 0.0
    ):
        self.task, self.data, self.null_threshold = cfg.task, cfg.data, null_threshold
        if cfg.task.no_answer:  # no threshold is tuned yet when epochs are compared
            self.metrics = ("best_f1", *self.metrics)
        room = cfg.data.max_length - cfg.task.max_query - 3  # [CLS] question [SEP] context [SEP]
        if room < max(1, cfg.data.window_step):
            raise UserError(
                f"data.max_length={cfg.data.max_length} less task.max_query={cfg.task.max_query} "
                f"and 3 special tokens leaves {room} tokens of context, fewer than data.window_step"
                f"={cfg.data.window_step}: lengthen the rows, or shorten the questions or the step"
            )

    def encode(self, examples: Sequence[Example], tokenizer: Tokenizer) -> Rows:
        """Rows of the question and a window of the context as a pair; see `Task.encode`.

        The target `span` int32 [R, 2] is where the first answer's first and last token stand in
        the row: (0, 0), which is [CLS], in windows that do not hold all of it, and (-1, -1), which
        the loss leaves out, where the tokenizer drops all of its characters.
        """
        asked = [example.texts[0] for example in examples]
        questions = tokenizer.encode_batch(asked, parse_special=True)
        room = self.data.max_length - tokenizer.framing.special_tokens(2)
        contexts: dict[str, Context] = {}  # questions share them
        labelled = all_labelled(examples)
        rows = Rows([], [], np.zeros(0, np.int64))
        owners, targets = [], []
        for i, (example, question) in enumerate(zip(examples, questions, strict=True)):
            text = example.texts[1]
            if text not in contexts:
                contexts[text] = read_context(text, tokenizer)
            context = contexts[text]
            kept = question[: self.task.max_query]
            first = 1 + len(kept) + tokenizer.framing.separators
            cuts = cut(context, first, room - len(kept), self.data)
            for window in cuts:
                tokens, types = tokenizer.framing.row(kept, context.ids[window.pieces].tolist())
                rows.tokens.append(tokens)
                rows.token_types.append(types)
                rows.details.append(window)
                owners.append(i)
                if labelled:
                    targets.append(_target(window, example))
            lost = len(question) - len(kept)
            if not self.data.window_step:
                lost += len(context.ids) - len(cuts[0].pieces)
            rows.cut_tokens += lost
            rows.cut_examples += lost > 0
        rows.examples = np.array(owners, np.int64)
        if labelled:
            rows.fixed["span"] = np.array(targets, np.int32).reshape(-1, 2)
        return rows

    def merge(self, rows: Rows, outputs: Sequence[dict[str, np.ndarray]]) -> list[SpanScores]:
        """The `task.n_best` best answers over all windows of each question."""
        bounds = np.flatnonzero(np.diff(rows.examples, prepend=-1, append=-1))
        return [
            best_candidates(
                rows.details[start:end],
                [output["logits"] for output in outputs[start:end]],
                self.task.n_best,
                self.task.max_answer,
                self.task.no_answer,
            )
            for start, end in pairwise(bounds.tolist())
        ]

    def combine(
        self, many: Sequence[Sequence[SpanScores]], weights: Sequence[float]
    ) -> list[SpanScores]:
        """Soft voting over answer texts; see `vote`."""
        return [
            vote(scores, weights, self.task.n_best, self.task.no_answer)
            for scores in zip(*many, strict=True)
        ]

    def predict(
        self, examples: Sequence[Example], scores: Sequence[SpanScores]
    ) -> list[Prediction]:
        """The best answer's text, empty for none, and the first of the candidates.

        The label is the texts of all answers. Contexts, which questions share, are left out.
        With `task.no_answer` also `no_answer_score`: by how much "no answer" leads; null where the
        context holds nothing to answer with.
        """
        predictions = []
        for example, score in zip(examples, scores, strict=True):
            prediction: dict[str, Any] = {
                "id": example.id,
                "question": example.texts[0],
                **label_of(_answers(example)),
                "prediction": self._answer(score),
                "n_best": [
                    {name: candidate[name] for name in ("text", "start", "end", "probability")}
                    for candidate in score["candidates"][:SHOWN]
                ],
            }
            if self.task.no_answer:
                lead = _lead(score)
                prediction["no_answer_score"] = lead if np.isfinite(lead) else None
            predictions.append(prediction)
        return predictions

    def score(self, examples: Sequence[Example], scores: Sequence[SpanScores]) -> dict[str, Any]:
        """F1 and exact match, between 0 and 1, each the best over a question's answers.

        With `task.no_answer` also those of questions with an answer and without, and `best_f1`
        with the threshold that gives it, tuned on these very examples.
        """
        f1, exact = self._judge(examples, [self._answer(score) for score in scores])
        answerable = _answerable(examples)
        result: dict[str, Any] = {"f1": float(f1.mean()), "exact_match": float(exact.mean())}
        if self.task.no_answer:
            for name, chosen in (("has_answer", answerable), ("no_answer", ~answerable)):
                if chosen.any():
                    result[f"{name}_f1"] = float(f1[chosen].mean())
                    result[f"{name}_exact_match"] = float(exact[chosen].mean())
            result["best_f1"], threshold = self._best(examples, scores)
            result["report"] = {"best_f1_threshold": threshold}
        predicted = {self._answer(score) for score in scores}
        truth = {tuple(text for _, text in example.label) for example in examples}
        result["collapsed"] = len(predicted) == 1 < len(truth)
        return result

    def tune_threshold(self, examples: Sequence[Example], scores: Sequence[SpanScores]) -> float:
        """The `null_threshold` with the highest F1 on these examples."""
        return self._best(examples, scores)[1]

    def _best(
        self, examples: Sequence[Example], scores: Sequence[SpanScores]
    ) -> tuple[float, float]:
        texts, answerable = [_best_text(score) for score in scores], _answerable(examples)
        f1, _ = self._judge(examples, texts)
        f1 = np.where(answerable, f1, [not text for text in texts])  # as find_best_thresh asks
        return squad.best_threshold(f1, answerable, np.array([_lead(score) for score in scores]))

    def _answer(self, score: SpanScores) -> str:
        """The prediction; empty for no answer."""
        if self.task.no_answer and _lead(score) > self.null_threshold:
            return ""
        return _best_text(score)

    def _judge(
        self, examples: Sequence[Example], predicted: Sequence[str]
    ) -> tuple[np.ndarray, np.ndarray]:
        """F1 and exact match of each prediction, float64 [E].

        Of a question without an answer they are 1 for an empty prediction, to SQuAD's script also
        for one of which normalisation leaves nothing, such as "the"; that of CMRC knows none.
        """
        known = self.task.scoring == "squad"
        values = np.zeros((2, len(examples)))
        for i, (example, text) in enumerate(zip(examples, predicted, strict=True)):
            answers = _answers(example) or []
            for metric, measure in enumerate(_SCORINGS[self.task.scoring]):
                values[metric, i] = measure(text, answers) if answers or known else float(not text)
        return values[0], values[1]


def _target(window: Window, example: Example) -> tuple[int, int]:
    """Where in its row the answer that is trained on stands."""
    if not example.label:
        return _CLS
    start, text = example.label[0]
    pieces = window.context.pieces_of(start, len(text))
    return _NOWHERE if pieces is None else window.place(*pieces) or _CLS


def _answers(example: Example) -> list[str] | None:
    return None if example.label is None else [answer for _, answer in example.label]


def _answerable(examples: Sequence[Example]) -> np.ndarray:
    return np.array([bool(example.label) for example in examples], bool)


def _best_text(score: SpanScores) -> str:
    return score["candidates"][0]["text"] if score["candidates"] else ""


def _lead(score: SpanScores) -> float:
    """By how much "no answer" leads the best answer; infinite where there is no other."""
    return score["null"] - score["candidates"][0]["logit"] if score["candidates"] else np.inf
