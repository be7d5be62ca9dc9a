"""Every way to fuse models, tried on held-out examples.

What is learned is tried on examples that it did not learn from, in parts (`crossfit`), so that the
numbers of all ways compare. What is stored is learned from all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from bertjax.finetuning.member import metric_values
from bertjax.fuse import ingredients, ways
from bertjax.fuse.crossfit import crossfitted
from bertjax.fuse.held_out import OUT_OF_FOLD, HeldOut
from bertjax.fuse.ingredients import Pot, ingredients_of
from bertjax.fuse.soup import greedy
from bertjax.fuse.voices import Fusion, Judged, Voice
from bertjax.fuse.ways import LEARNED, OF_SCORES, Mean, Vote, Way
from bertjax.tasks.task import Scores

OF_WEIGHTS = ("soup", "uniform-soup")
METHODS = (*OF_SCORES, *OF_WEIGHTS)
SOUP_NEEDS_ROWS = (
    "models of folds were trained on one another's rows: name rows that none of them saw with "
    "--data"
)


class Trial:
    """Every way on the held-out examples; what is learned is tried on rows that it did not see."""

    def __init__(self, voices: Sequence[Voice], held: HeldOut, votes: int):
        self.voices, self.held, self.votes = voices, held, votes
        run = voices[0].run
        thresholds = [voice.run.null_threshold(voice.members) for voice in voices]
        self.threshold = float(np.mean(thresholds))
        self.task = Fusion(tuple(voices), self.way("average"), self.threshold).task
        self.metric = run.cfg.task.metric or self.task.metrics[0]
        self.pot = Pot(ingredients_of(voices), held.examples)
        if len(self.pot.ingredients) == len(voices):
            self.pot.known |= {(i,): scores for i, scores in enumerate(held.many)}

    def everything(self) -> tuple[list[Judged], dict[str, str]]:
        """What each voice and each way says, and by way why it is left out."""
        said = [
            Judged(voice.name, voice.task, scores)
            for voice, scores in zip(self.voices, self.held.many, strict=True)
        ]
        why: dict[str, str] = {}
        for method in OF_SCORES if len(self.voices) > 1 else ():
            reason = ways.why_not(method, self.task)
            if reason:
                why[method] = reason
            elif method == "vote" and ways.counts_spans(self.task):
                count = len(self.voices)
                for k in range(1, count + 1):
                    scores = Vote(k).combine(self.task, self.held.many)
                    said.append(Judged(f"vote, {k} of {count}", self.task, scores))
            else:
                said.append(Judged(method, self.task, self._scores(method)))
        reason = ingredients.why_not(self.pot.ingredients)
        if self.held.split == OUT_OF_FOLD:
            reason = reason or SOUP_NEEDS_ROWS
        for method in OF_WEIGHTS:
            if reason:
                why[method] = reason
            else:
                said.append(Judged(method, self.task, self._scores(method)))
        return said, why

    def way(self, method: str) -> Way:
        """A method of OF_SCORES, fitted to all held-out examples."""
        if method == "vote":
            return Vote(self.votes)
        if method == "average":
            return Mean((1 / len(self.voices),) * len(self.voices))
        return ways.learn(method, self.task, self.held.examples, self.held.many)

    def soup(self, method: str, kept: np.ndarray | None = None) -> tuple[int, ...]:
        """The ingredients of a soup, chosen by all held-out examples, or by those that are kept."""
        count = len(self.pot.ingredients)
        if method == "uniform-soup":
            return tuple(range(count))
        kept = np.arange(len(self.held.examples)) if kept is None else kept

        def score(chosen: tuple[int, ...]) -> float:
            scores = self.pot.scores(chosen)
            found = self.task.score(
                [self.held.examples[i] for i in kept], [scores[i] for i in kept]
            )
            return metric_values(found)[self.metric]

        return greedy([score((i,)) for i in range(count)], score)

    def _scores(self, method: str) -> list[Scores]:
        """Of each example by a way that did not learn from it."""
        if method in LEARNED or method == "soup":
            return crossfitted(self.held.examples, lambda kept: self._fitted(method, kept))
        if method == "uniform-soup":
            return self.pot.scores(self.soup(method))
        return self.way(method).combine(self.task, self.held.many)

    def _fitted(self, method: str, kept: np.ndarray) -> Callable[[np.ndarray], list[Scores]]:
        if method == "soup":
            scores = self.pot.scores(self.soup(method, kept))
            return lambda held: [scores[i] for i in held]
        examples = [self.held.examples[i] for i in kept]
        way = ways.learn(method, self.task, examples, _rows(self.held.many, kept))
        return lambda held: way.combine(self.task, _rows(self.held.many, held))


def _rows(many: Sequence[Sequence[Scores]], indices: np.ndarray) -> list[list[Scores]]:
    return [[scores[i] for i in indices] for scores in many]
