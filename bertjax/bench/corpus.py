"""The text of a benchmark: a config's corpora, or random text in the shape of one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bertjax.config import PretrainConfig
from bertjax.data.corpus import SENTENCE, WORD, Corpus
from bertjax.errors import UserError
from bertjax.recipes.published import BERT_VOCABULARY
from bertjax.text.special import SpecialIds
from bertjax.train.data import Data, open_data

RANDOM_TOKENS = 4_000_000
SENTENCE_LENGTH = 24  # tokens; about English Wikipedia's
_SPECIAL = 5  # ids that are no pieces of words


def data_of(cfg: PretrainConfig, document_length: int = 1_000) -> tuple[PretrainConfig, Data]:
    """The config's corpora, or random documents where it names none."""
    if cfg.data.paths:
        return open_data(cfg)
    size = cfg.model.vocab_size or BERT_VOCABULARY
    cfg = replace(cfg, model=replace(cfg.model, vocab_size=size))
    rows = max(p.batch_size * p.seq_len for p in cfg.data.phases)
    return cfg, random_data(size, max(RANDOM_TOKENS, 4 * rows), document_length)


def random_data(vocab_size: int, tokens: int, document_length: int = 1_000) -> Data:
    """`random_corpus` as the data of a run that evaluates nothing."""
    return Data({"random": random_corpus(vocab_size, tokens, document_length)}, {})


def random_corpus(
    vocab_size: int, tokens: int, document_length: int = 1_000, seed: int = 0
) -> Corpus:
    """Uniform ids in documents of `document_length` tokens, in sentences of 24 and what is left.

    Speed does not depend on what the ids are, but for the embedding's rows, which uniform ids
    spread most. Raises UserError for documents without a token, or ids that are all special.
    """
    draw = np.random.default_rng(seed)
    special = SpecialIds(pad=0, unk=1, cls=2, sep=3, mask=4)
    if not 1 <= document_length <= tokens // 2:
        raise UserError(f"--document-length {document_length}: give 1 to {tokens // 2} tokens")
    if vocab_size <= _SPECIAL:
        raise UserError(
            f"model.vocab_size={vocab_size}: random text needs more than the {_SPECIAL} special "
            "ids; 0 takes BERT's size"
        )
    count = tokens // document_length
    total = count * document_length
    document_starts = np.arange(count + 1, dtype=np.int64) * document_length
    within = np.arange(0, document_length, SENTENCE_LENGTH)
    sentence_starts = np.append((document_starts[:-1, None] + within).ravel(), total)
    boundaries = np.where(draw.random(total) < 0.75, WORD, 0).astype(np.uint8)
    boundaries[sentence_starts[:-1]] |= WORD | SENTENCE
    return Corpus(
        tokens=draw.integers(_SPECIAL, vocab_size, total).astype(np.uint32),
        boundaries=boundaries,
        document_starts=document_starts,
        sentence_starts=sentence_starts,
        special=special,
        vocab_size=vocab_size,
        fingerprint="random",
        identity="random",
    )
