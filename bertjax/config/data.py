"""What is read, in which rows, and for how long."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

from bertjax.config.checks import one_of, require, within
from bertjax.config.model import ATTENTION

PAIR_FORMATS = ("segment_pair", "sentence_pair")
FORMATS = ("full_sentences", "doc_sentences", "full_rows", *PAIR_FORMATS)
PAIR_LABELS = ("none", "nsp", "sop", "sop_strict")


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

    def __str__(self) -> str:
        """In the words of a run that begins: `256×128 (masks 30 to 15 %)`."""
        rates = " to ".join(f"{100 * rate:g}" for rate in self.mask_rate)
        own = [f"masks {rates} %"] * bool(rates) + [f"attention {self.attention}"] * bool(
            self.attention
        )
        return f"{self.batch_size}×{self.seq_len}" + f" ({', '.join(own)})" * bool(own)


@dataclass(frozen=True)
class DataConfig:
    """How a corpus becomes batches (input formats: RoBERTa, Liu et al. 2019, section 4.2)."""

    corpus: str = ""  # directory made by `bertjax prepare`
    format: str = "segment_pair"  # or sentence_pair, full_sentences, doc_sentences, full_rows
    pairs: str = "nsp"  # label of the pair formats, unused by others; sop: ALBERT's, leak included
    short_seq_prob: float = 0.1  # share of documents cut to a random shorter length
    max_packed: int = 1  # M; above 1, short examples share a row and do not see each other
    phases: tuple[Phase, ...] = (Phase(),)  # one after another; a number names one
    workers: int = 0  # Grain worker processes; 0: in the training process
    prefetch: int = 2  # batches made ahead by each worker

    def __post_init__(self) -> None:
        one_of("data.format", self.format, FORMATS)
        one_of("data.pairs", self.pairs, PAIR_LABELS)
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
            not self.paired or self.pairs != "none",
            f"data.pairs=none with data.format={self.format}: a pair needs a label, nsp, sop or "
            "sop_strict; for no pairs at all use data.format=full_sentences",
        )
        require(
            not (self.format in ("full_sentences", "full_rows") and self.max_packed > 1),
            f"data.max_packed={self.max_packed} with data.format={self.format}: those rows are "
            "full already; use doc_sentences to pack documents with isolation",
        )

    @property
    def paired(self) -> bool:
        """Whether rows are two segments, with a label that says how they belong together."""
        return self.format in PAIR_FORMATS


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
