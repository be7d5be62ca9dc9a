"""Real tokens a second that one core can feed, made ahead, for every input format.

    python benchmarks/feeding.py                    # a synthetic corpus of 30 million tokens
    python benchmarks/feeding.py data/mycorpus      # the training split of a built corpus

Padding is not counted. Exits with 1 if any format is slower than the bar.
"""

from __future__ import annotations

import argparse
import os
import sys
import time

import numpy as np

from bertjax.cli.main import in_one_line
from bertjax.config import DataConfig, Phase
from bertjax.data.batches import BatchSource
from bertjax.data.corpus import SENTENCE, WORD, Corpus, SpecialIds, open_corpus
from bertjax.data.loader import load_batches

BAR = 1.5e6  # tokens/s
TOKENS_PER_BATCH = 1 << 15
SEQ_LENS = (128, 512)
FORMATS = (  # format, max_packed
    ("full_sentences", 1),
    ("doc_sentences", 1),
    ("doc_sentences", 8),
    ("segment_pair+nsp", 1),
    ("segment_pair+nsp", 8),
    ("sentence_pair+nsp", 1),
    ("sentence_pair+nsp", 8),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("corpus", nargs="?", help="directory made by `bertjax prepare`")
    parser.add_argument("--tokens", type=int, default=30_000_000, help="of the synthetic corpus")
    parser.add_argument("--seconds", type=float, default=2.0, help="measured for each line")
    options = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    if options.corpus:
        corpus = open_corpus(options.corpus, "train", verify=False)
    else:
        corpus = synthetic_corpus(options.tokens)
    print(f"{len(corpus.tokens):,} tokens, {len(corpus.document_starts) - 1:,} documents, one core")
    print("T    format             packed  plan s  rows/epoch  full %  M tokens/s")
    slowest = min(
        measure(corpus, seq_len, *case, options.seconds) for seq_len in SEQ_LENS for case in FORMATS
    )
    print(f"slowest {slowest / 1e6:.1f} M tokens/s; the bar is {BAR / 1e6:g} M")
    return int(slowest < BAR)


def synthetic_corpus(tokens: int) -> Corpus:
    """Sentences of 24 tokens and documents of 18 sentences on average, both geometric."""
    rng = np.random.default_rng(0)
    lengths = rng.geometric(1 / 24, tokens // 24)
    sentence_starts = np.concatenate([[0], np.cumsum(lengths)])
    total = int(sentence_starts[-1])
    first = rng.random(len(lengths)) < 1 / 18  # sentences that begin a document
    first[0] = True
    boundaries = np.where(rng.random(total) < 0.8, WORD, 0).astype(np.uint8)
    boundaries[sentence_starts[:-1]] |= WORD | SENTENCE
    return Corpus(
        tokens=rng.integers(5, 30_000, total, dtype=np.uint16),
        boundaries=boundaries,
        document_starts=np.append(sentence_starts[:-1][first], total),
        sentence_starts=sentence_starts,
        special=SpecialIds(pad=0, unk=1, cls=2, sep=3, mask=4),
        vocab_size=30_000,
        fingerprint="synthetic",
        identity="synthetic",
    )


def measure(
    corpus: Corpus, seq_len: int, input_format: str, max_packed: int, seconds: float
) -> float:
    """Print one line; returns real tokens a second."""
    phase = Phase(seq_len=seq_len, batch_size=TOKENS_PER_BATCH // seq_len)
    config = DataConfig(format=input_format, max_packed=max_packed, phases=(phase,))
    begin = time.perf_counter()
    source = BatchSource(corpus, config, phase=0, seed=0)
    planned = time.perf_counter() - begin
    batches = used = 0
    with load_batches(source, 0, 10**9) as stream:
        next(stream)  # starts the thread, touches the pages
        begin = time.perf_counter()
        while (elapsed := time.perf_counter() - begin) < seconds:
            used += np.count_nonzero(next(stream)["segments"])
            batches += 1
    print(
        f"{seq_len:<4} {input_format:<18} {max_packed:>6}  {planned:>6.2f}  "
        f"{source.rows_per_epoch:>10,}  "
        f"{100 * used / (batches * TOKENS_PER_BATCH):>6.1f}  {used / elapsed / 1e6:>10.1f}"
    )
    return used / elapsed


if __name__ == "__main__":
    sys.exit(in_one_line("feeding.py", main))
