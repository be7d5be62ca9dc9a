"""The corpora of a run, both splits, and what they settle in the config."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import jax
import numpy as np

from bertjax.config import ModelConfig, PretrainConfig
from bertjax.data.batches import Batches, BatchSource, evaluation_batches
from bertjax.data.corpus import Corpus, describe_corpus, open_corpus
from bertjax.data.mixture import training_batches
from bertjax.errors import UserError
from bertjax.objectives.objective import Objective

EVALUATION_DATA_SEED = 0  # held-out pairs and their order do not depend on the run's seed
_COUNTED = 256  # rows at a time


@dataclass(frozen=True)
class Data:
    """The corpora of a run by name, one or several of one tokenizer."""

    train: dict[str, Corpus]
    held_out: dict[str, Corpus]  # the other split of each; none where nothing is evaluated
    language: str = "auto"  # as they were prepared: auto, en or zh

    @property
    def first(self) -> Corpus:
        """The one that is asked for what the tokenizer says, which they share."""
        return next(iter(self.train.values()))

    @property
    def identity(self) -> str:
        """The exact bytes of all, in their order."""
        return ",".join(corpus.identity for corpus in self.train.values())

    def meta(self) -> dict[str, str]:
        """What a checkpoint says of them."""
        return {
            "tokenizer": self.first.fingerprint,
            "corpus": self.identity,
            "language": self.language,
        }

    def training(self, cfg: PretrainConfig, phase: int) -> Batches:
        """Batches of one phase."""
        return training_batches(self.train, cfg.data, phase, cfg.seed)

    def evaluation(self, cfg: PretrainConfig, phase: int) -> dict[str, BatchSource]:
        """Held-out rows of each corpus, by name, in the format and length of one phase."""
        return {
            name: BatchSource(corpus, cfg.data, phase, EVALUATION_DATA_SEED)
            for name, corpus in self.held_out.items()
        }


def open_data(cfg: PretrainConfig) -> tuple[PretrainConfig, Data]:
    """Open the corpora and settle the vocabulary size.

    Raises:
        UserError: no corpus is named, one is damaged, they have different tokenizers, or the
            vocabulary has more pieces than the config's.
    """
    paths = cfg.data.paths
    if not paths:
        raise UserError("data.corpus is empty: give data.corpus=DIRECTORY from `bertjax prepare`")
    verify = jax.process_index() == 0
    train, held_out = (
        {
            name: open_corpus(path, split, verify)
            for name, path in zip(cfg.data.names, paths, strict=True)
        }
        for split in ("train", "validation")
    )
    languages = {describe_corpus(path)["settings"]["language"] for path in paths}
    data = Data(train, held_out, languages.pop() if len(languages) == 1 else "auto")
    tokenizer = data.first.fingerprint
    for path, corpus in zip(paths, train.values(), strict=True):
        if corpus.fingerprint != tokenizer:
            raise UserError(
                f"{path} was prepared with tokenizer {corpus.fingerprint[:12]} and {paths[0]} with "
                f"{tokenizer[:12]}: corpora of one run need the same; prepare {path} again with "
                f"--tokenizer {paths[0]}/tokenizer"
            )
    settled = settle_vocabulary(cfg.model, data.first.vocab_size, paths[0])
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


def bits_per_byte(
    held_out: Corpus, objective: Objective, results: Mapping[str, float]
) -> dict[str, float]:
    """The loss in bits a byte of the split's text, white space included, by that name.

    So losses of different tokenizers compare. Nothing where the corpus does not say how many bytes
    its text has, or where tokens are predicted that are no text, as a causal LM's [SEP] is.
    """
    specials = {held_out.special.cls, held_out.special.sep}
    if not held_out.text_bytes or not specials <= set(objective.never_predicted):
        return {}
    tokens_a_byte = len(held_out.tokens) / held_out.text_bytes
    return {"bits_per_byte": results[objective.selects] / math.log(2) * tokens_a_byte}
