"""Random text in the shape of a corpus, for speed where there is no corpus at hand."""

from __future__ import annotations

import numpy as np

from bertjax.data.corpus import SENTENCE, WORD, Corpus
from bertjax.text.special import SpecialIds

SENTENCE_LENGTH = 24  # tokens; about English Wikipedia's


def random_corpus(
    vocab_size: int, tokens: int, document_length: int = 1_000, seed: int = 0
) -> Corpus:
    """Uniform ids in sentences of 24 tokens and documents of about `document_length` tokens.

    Speed does not depend on what the ids are, but for the embedding's rows, which uniform ids
    spread most.
    """
    draw = np.random.default_rng(seed)
    special = SpecialIds(pad=0, unk=1, cls=2, sep=3, mask=4)
    per_document = max(1, round(document_length / SENTENCE_LENGTH))
    sentences = max(2, tokens // SENTENCE_LENGTH)
    sentence_starts = np.arange(sentences + 1, dtype=np.int64) * SENTENCE_LENGTH
    documents = np.unique(np.append(np.arange(0, sentences, per_document), sentences))
    total = int(sentence_starts[-1])
    boundaries = np.where(draw.random(total) < 0.75, WORD, 0).astype(np.uint8)
    boundaries[sentence_starts[:-1]] |= WORD | SENTENCE
    return Corpus(
        tokens=draw.integers(5, vocab_size, total).astype(np.uint32),
        boundaries=boundaries,
        document_starts=sentence_starts[documents],
        sentence_starts=sentence_starts,
        special=special,
        vocab_size=vocab_size,
        fingerprint="random",
        identity="random",
    )
