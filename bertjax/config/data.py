"""What is read, in which rows, and for how long."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import accumulate
from math import gcd, lcm
from pathlib import PurePath
from typing import NamedTuple

from bertjax.config.checks import one_of, require, typed, within
from bertjax.config.model import ATTENTION

PAIR_SHAPES = ("segment_pair", "sentence_pair")
PAIR_LABELS = ("nsp", "sop", "sop_strict")
WITHOUT_LOSS = "_rows"  # ends a format whose label nothing predicts
MOST_PLACES = 100_000  # rows until the shares of several corpora come out even


class Pairing(NamedTuple):
    """Rows of two segments."""

    shape: str  # what A and B are made of: segment_pair | sentence_pair
    label: str  # how they belong together: nsp | sop (ALBERT's, leak included) | sop_strict
    predicted: bool  # whether that is a part of the loss


PAIRINGS = {
    f"{shape}+{label}{'' if predicted else WITHOUT_LOSS}": Pairing(shape, label, predicted)
    for shape in PAIR_SHAPES
    for label in PAIR_LABELS
    for predicted in (True, False)
}
FORMATS = ("full_sentences", "doc_sentences", "full_rows", *PAIRINGS)


@dataclass(frozen=True)
class WeightedCorpus:
    """One of several corpora."""

    path: str = ""  # directory made by `bertjax prepare`; its last part is the corpus's name
    weight: float = 1.0  # its share of the rows, beside the others' weights

    def __post_init__(self) -> None:
        within("data.corpora weight", self.weight, 0.0, 1e6)


@dataclass(frozen=True)
class Phase:
    """A stretch of training: rows of one length, and what is learnt of them.

    BERT used 128 tokens for 90 % of steps, then 512.
    """

    seq_len: int = 128  # T
    batch_size: int = 256  # B, rows over all devices and accumulation steps
    fraction: float = 1.0  # share of train.steps; the fractions of all phases sum to 1
    mask_rate: tuple[float, ...] = ()  # instead of masking.rate; two: from the first to the last
    attention: str = ""  # instead of model.attention; causal: the next token is learnt
    weights: tuple[float, ...] = ()  # of data.corpora, in their order, instead of their own

    def __post_init__(self) -> None:
        within("data.phases seq_len", self.seq_len, 8, 2**20)
        within("data.phases batch_size", self.batch_size, 1, 2**20)
        within("data.phases fraction", self.fraction, 0.0, 1.0)
        for rate in self.mask_rate:
            within("data.phases mask_rate", rate, 0.0, 1.0)
        require(
            len(self.mask_rate) <= 2,
            f"data.phases mask_rate has {len(self.mask_rate)} rates: give one, or the first and "
            "the last",
        )
        one_of("data.phases attention", self.attention, ("", *ATTENTION))
        for weight in self.weights:
            within("data.phases weights", weight, 0.0, 1e6)

    def __str__(self) -> str:
        """In the words of a run that begins: `256×128 (masks 30 to 15 %)`."""
        rates = " to ".join(f"{100 * rate:g}" for rate in self.mask_rate)
        own = [
            *([f"attention {self.attention}"] if self.attention else []),
            *([f"masks {rates} %"] if rates else []),
            *([f"weights {typed(self.weights)}"] if self.weights else []),
        ]
        return f"{self.batch_size}×{self.seq_len}" + (f" ({', '.join(own)})" if own else "")


@dataclass(frozen=True)
class DataConfig:
    """How a corpus becomes batches (input formats: RoBERTa, Liu et al. 2019, section 4.2).

    A format of pairs says what is asked of them too: `+nsp`, `+sop` or `+sop_strict`, with a loss;
    `+nsp_rows` has the rows of `+nsp` and no loss.
    """

    corpus: str = ""  # directory made by `bertjax prepare`
    corpora: tuple[WeightedCorpus, ...] = ()  # or several of one tokenizer
    format: str = "segment_pair+nsp"  # or +sop; full_sentences, doc_sentences, full_rows
    short_seq_prob: float = 0.1  # segment pairs: share of documents cut to a random shorter length
    max_packed: int = 1  # M; above 1, short examples share a row and do not see each other
    phases: tuple[Phase, ...] = (Phase(),)  # one after another; a number names one
    workers: int = 0  # processes that make batches; 0: a thread of the training process
    prefetch: int = 2  # batches made ahead by each worker

    def __post_init__(self) -> None:
        require(
            self.format not in PAIR_SHAPES,
            f"data.format={self.format} does not say what is asked of a pair: use {self.format}"
            f"+nsp, +sop or +sop_strict, or {self.format}+nsp_rows for pairs without a loss",
        )
        one_of("data.format", self.format, FORMATS)
        within("data.short_seq_prob", self.short_seq_prob, 0.0, 1.0)
        within("data.max_packed", self.max_packed, 1, 256)
        within("data.workers", self.workers, 0, 256)
        within("data.prefetch", self.prefetch, 1, 1024)
        require(len(self.phases) > 0, "data.phases is empty: give at least one phase")
        total = sum(p.fraction for p in self.phases)
        require(
            abs(total - 1.0) < 1e-6,
            f"data.phases fractions sum to {total:g}: they must sum to 1",
        )
        require(
            not (self.format in ("full_sentences", "full_rows") and self.max_packed > 1),
            f"data.max_packed={self.max_packed} with data.format={self.format}: those rows are "
            "full already; use doc_sentences to pack documents with isolation",
        )
        self._check_corpora()

    def _check_corpora(self) -> None:
        """Refuse corpora that cannot be told apart, and weights that cannot be kept exactly."""
        require(
            not (self.corpus and self.corpora),
            f"data.corpus={self.corpus} and data.corpora with {len(self.corpora)} entries: give "
            "one of them; data.corpora= empties the list",
        )
        require(
            all(PurePath(one.path).name for one in self.corpora),
            "data.corpora has an entry whose path names no directory: give that from `bertjax "
            "prepare`",
        )
        for name in self.names:
            require(
                self.names.count(name) == 1,
                f"data.corpora has two that are called {name}: the last part of a path names its "
                "corpus; rename one directory",
            )
        for i, phase in enumerate(self.phases):
            require(
                len(phase.weights) in (0, len(self.paths)) or not self.paths,  # a recipe has none
                f"data.phases.{i}.weights={typed(phase.weights)} with {len(self.paths)} corpora: "
                "give one weight for each of data.corpora",
            )
            weights, places = self.weights(i), sum(self.shares(i))
            require(
                0 < places <= MOST_PLACES,
                f"the weights {typed(weights)} of data.corpora in data.phases.{i} "
                + (
                    f"come out even after {places:,} rows only, and {MOST_PLACES:,} are the most: "
                    "round them"
                    if places
                    else "leave no corpus: give one that is above 0"
                ),
            )

    @property
    def paths(self) -> tuple[str, ...]:
        """Directories of all corpora; none if there are none."""
        one = (self.corpus,) if self.corpus else ()
        return one or tuple(source.path for source in self.corpora)

    @property
    def names(self) -> tuple[str, ...]:
        """What the corpora are called, in the same order."""
        return tuple(PurePath(path).name for path in self.paths)

    def weights(self, phase: int) -> tuple[float, ...]:
        """Of the corpora in a phase, in the same order; of one that is alone, or random text, 1."""
        if not self.corpora:
            return (1.0,)
        return self.phases[phase].weights or tuple(source.weight for source in self.corpora)

    def shares(self, phase: int) -> tuple[int, ...]:
        """The least whole numbers in the proportions of the weights; zeros where all are 0."""
        exact = [Fraction(str(weight)) for weight in self.weights(phase)]
        whole = [int(x * lcm(*(y.denominator for y in exact))) for x in exact]
        return tuple(x // (gcd(*whole) or 1) for x in whole)

    @property
    def pairing(self) -> Pairing | None:
        """What the two segments of a row are; None where a row is one."""
        return PAIRINGS.get(self.format)

    @property
    def without_pair_loss(self) -> DataConfig:
        """The same rows, of which no label is predicted."""
        predicted = self.pairing is not None and self.pairing.predicted
        return replace(self, format=self.format + WITHOUT_LOSS) if predicted else self


@dataclass(frozen=True)
class PhaseSchedule:
    """Which phase a training step belongs to."""

    ends: tuple[int, ...]  # first step after each phase; the last is the number of all steps

    @classmethod
    def plan(cls, config: DataConfig, steps: int) -> PhaseSchedule:
        """Round the running sum of the phases' fractions to whole steps."""
        shares = accumulate(phase.fraction for phase in config.phases[:-1])
        return cls((*(min(round(share * steps), steps) for share in shares), steps))

    def steps(self, phase: int) -> range:
        """Steps of one phase; may be empty."""
        return range(self.ends[phase - 1] if phase else 0, self.ends[phase])
