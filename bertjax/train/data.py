"""The corpus of a run, both splits, and what it settles in the config."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import jax
import numpy as np

from bertjax.config import ModelConfig, PretrainConfig
from bertjax.data.batches import BatchSource, evaluation_batches
from bertjax.data.corpus import Corpus, describe_corpus, open_corpus
from bertjax.errors import UserError

EVALUATION_DATA_SEED = 0  # held-out pairs and their order do not depend on the run's seed
_COUNTED = 256  # rows at a time


@dataclass(frozen=True)
class Data:
    """Both splits of the corpus."""

    train: Corpus
    held_out: Corpus
    language: str  # as the corpus was prepared: auto, en or zh

    def meta(self) -> dict[str, str]:
        """What a checkpoint says of them."""
        return {
            "tokenizer": self.train.fingerprint,
            "corpus": self.train.identity,
            "language": self.language,
        }

    def training(self, cfg: PretrainConfig, phase: int) -> BatchSource:
        """Batches of one phase."""
        return BatchSource(self.train, cfg.data, phase, cfg.seed)

    def evaluation(self, cfg: PretrainConfig, phase: int) -> BatchSource:
        """Held-out rows in the format and length of one phase."""
        return BatchSource(self.held_out, cfg.data, phase, EVALUATION_DATA_SEED)


def open_data(cfg: PretrainConfig) -> tuple[PretrainConfig, Data]:
    """Open the corpus and settle the vocabulary size.

    Raises:
        UserError: no corpus is named, it is damaged, or its vocabulary has more pieces than the
            config's.
    """
    if not cfg.data.corpus:
        raise UserError("data.corpus is empty: give data.corpus=DIRECTORY from `bertjax prepare`")
    verify = jax.process_index() == 0
    data = Data(
        open_corpus(cfg.data.corpus, "train", verify),
        open_corpus(cfg.data.corpus, "validation", verify),
        describe_corpus(cfg.data.corpus)["settings"]["language"],
    )
    settled = settle_vocabulary(cfg.model, data.train.vocab_size, cfg.data.corpus)
    return dataclasses.replace(cfg, model=settled), data


def settle_vocabulary(cfg: ModelConfig, pieces: int, corpus: str) -> ModelConfig:
    """`cfg` with a row of the table for each piece of a corpus's tokenizer, or with its own number.

    Some models have rows that no piece has (NVIDIA's BERT, MosaicBERT): these are never drawn.
    Raises UserError if `cfg` has fewer rows than pieces.
    """
    if 0 < cfg.vocab_size < pieces:
        raise UserError(
            f"model.vocab_size={cfg.vocab_size} but the tokenizer of {corpus} has {pieces} pieces: "
            "set model.vocab_size=0 to take the corpus's, or prepare the corpus with the tokenizer "
            "of the model"
        )
    return dataclasses.replace(cfg, vocab_size=max(cfg.vocab_size, pieces))


def unigram_entropy(source: BatchSource, rows: int, never_predicted: Sequence[int]) -> float:
    """Entropy in nats of the frequencies of tokens in the first `rows` rows, in plan order.

    No predictor that ignores context can do better on them, even one that knows these frequencies
    beforehand; a loss that stays here has learnt nothing from context. Ids that are
    `never_predicted` there are not counted.
    """
    counts = np.zeros(0, np.int64)
    for batch in evaluation_batches(source, rows, _COUNTED):
        found = np.bincount(batch["tokens"][batch["segments"] != 0], minlength=len(counts))
        found[: len(counts)] += counts
        counts = found
    counts[list(never_predicted)] = 0
    p = counts[counts > 0] / max(1, counts.sum())
    return float(-(p * np.log(p)).sum())
