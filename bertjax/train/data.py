"""The corpus of a run, both splits, and what it settles in the config."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property

import jax
import numpy as np

from bertjax.config import ModelConfig, PretrainConfig
from bertjax.data.batches import BatchSource
from bertjax.data.corpus import Corpus, describe_corpus, open_corpus
from bertjax.errors import UserError

EVALUATION_DATA_SEED = 0  # held-out pairs and their order do not depend on the run's seed


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

    @cached_property
    def unigram_entropy(self) -> float:
        """Of the held-out split; see `unigram_entropy`."""
        return unigram_entropy(self.held_out)

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


def unigram_entropy(corpus: Corpus) -> float:
    """Entropy in nats of a corpus's own token frequencies.

    No predictor that ignores context can do better on this corpus, even one that knows its
    frequencies beforehand; a loss that stays here has learnt nothing from context.
    """
    counts = np.zeros(corpus.vocab_size, np.int64)
    for start in range(0, len(corpus.tokens), 1 << 22):
        counts += np.bincount(corpus.tokens[start : start + (1 << 22)], minlength=len(counts))
    p = counts[counts > 0] / max(1, counts.sum())
    return float(-(p * np.log(p)).sum())
