"""What a model of neighbouring pieces loses on text: more than the unigram entropy knows.

Absolute discounting (Ney, Essen and Kneser 1994): a pair that was seen c times counts c − 0.75, and
what is taken off goes to all pieces by their frequencies, each counted once more than it was seen.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bertjax.data.batches import BatchSource, evaluation_batches
from bertjax.data.corpus import Corpus
from bertjax.review.sample import spread

_DISCOUNT = 0.75
_COUNTED = 256  # rows at a time


class Bigrams:
    """Probabilities of a piece after another, from a text of N ids below V."""

    def __init__(self, texts: Sequence[np.ndarray], vocab_size: int):
        """`texts` are stretches; no pair crosses from one to the next."""
        self.V = vocab_size
        pairs = [self._code(np.asarray(text[:-1]), np.asarray(text[1:])) for text in texts]
        self.codes, self.counts = np.unique(np.concatenate(pairs), return_counts=True)
        before = self.codes // self.V
        self.after = np.bincount(before, self.counts, self.V)  # pairs that begin with each piece
        self.kinds = np.bincount(before, minlength=self.V)  # how many different ones
        seen = np.bincount(np.concatenate(texts), minlength=self.V)
        self.frequency = (seen + 1) / (seen.sum() + self.V)

    def _code(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return first.astype(np.int64) * self.V + second

    def probability(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Of each piece of `second` after that of `first`, float64 of their shape."""
        code, after = self._code(first, second), self.after[first]
        if not len(self.codes):
            return self.frequency[second]
        place = np.minimum(np.searchsorted(self.codes, code), len(self.codes) - 1)
        times = np.where(self.codes[place] == code, self.counts[place], 0)
        spared = np.where(after > 0, _DISCOUNT * self.kinds[first], 1.0)
        found = np.maximum(times - _DISCOUNT, 0.0) + spared * self.frequency[second]
        return found / np.maximum(after, 1.0)


def bigram_loss(
    train: Corpus, held_out: BatchSource, rows: int, never_predicted: Sequence[int]
) -> float:
    """Mean loss in nats of the pieces in the first `rows` rows, each given the one to its left.

    Of all real pieces but those that are `never_predicted`; the counts are of the training text, or
    of 4,000,000 of its tokens. A masked LM that is below uses more than the neighbour.
    """
    bigrams = Bigrams([train.tokens[part] for part in spread(len(train.tokens))], train.vocab_size)
    total, pieces = 0.0, 0
    for batch in evaluation_batches(held_out, rows, _COUNTED):
        first, second = batch["tokens"][:, :-1], batch["tokens"][:, 1:]
        counted = (batch["segments"][:, 1:] != 0) & ~np.isin(second, never_predicted)
        total -= float(np.log(bigrams.probability(first[counted], second[counted])).sum())
        pieces += int(counted.sum())
    return total / max(1, pieces)
