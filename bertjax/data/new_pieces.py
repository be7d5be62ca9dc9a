"""A corpus whose tokenizer was given words as new pieces: the same documents in fewer tokens.

A corpus holds ids and no text. So a word that has become a piece is found by the ids that it had,
from the start of a word on, and the new tokenizer decides: it must make the new piece of the text
of these ids and of those beside them. In a vocabulary that marks spaces, a word right after a
bracket or a quote does not start at a mark, and keeps its old pieces.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from bertjax.data import manifest
from bertjax.data.corpus import WORD, Corpus, describe_corpus, open_corpus, token_dtype
from bertjax.data.documents import DIGEST_BYTES, Documents, examples
from bertjax.data.writer import SplitWriter, write_tfds_metadata
from bertjax.durable import staged
from bertjax.text.tokenizer import Tokenizer
from bertjax.text.words import WORDPIECE

_BLOCK = 1 << 20  # tokens at a time, and the document that they end in

Run = tuple[int, ...]  # the ids of a word


def with_new_pieces(
    source: Path,
    out: Path,
    tokenizer: Tokenizer,
    runs: Mapping[Run, int],
    log: Callable[[str], None] = lambda line: None,
) -> None:
    """Write the corpus `source` to `out` with new ids.

    Args:
        source: a corpus of the tokenizer without the new words.
        out: directory to make.
        tokenizer: with them.
        runs: the old ids of each new word, and its new one.
        log: told of what an interrupted call left behind.

    Raises:
        UserError: `source` is damaged, or `out` exists or cannot be written.
    """
    content = describe_corpus(source)
    for name in ("bytes", "identity", "format"):
        content.pop(name)
    content |= {"tokenizer": tokenizer.fingerprint, "vocab_size": tokenizer.vocab_size}
    with staged(out, log) as stage:
        tokenizer.save(stage / "tokenizer")
        writers = []
        for split, counts in content["splits"].items():
            corpus = open_corpus(source, split)
            with SplitWriter(stage, split) as writer:
                for documents in _rewritten(corpus, tokenizer, runs):
                    writer.append(
                        documents.tokens,
                        documents.boundaries,
                        np.diff(documents.document_starts),
                        np.diff(documents.sentence_starts),
                        examples(documents),
                    )
            counts["tokens"] = writer.tokens
            writers.append(writer)
        write_tfds_metadata(stage, writers)
        manifest.write(stage, content)


def _rewritten(
    corpus: Corpus, tokenizer: Tokenizer, runs: Mapping[Run, int]
) -> Iterator[Documents]:
    """The documents of a split in blocks, with the new ids."""
    stands = _judge(tokenizer)
    dtype = token_dtype(tokenizer.vocab_size)
    starts = corpus.document_starts
    first = 0
    while first < len(starts) - 1:
        last = int(np.searchsorted(starts, starts[first] + _BLOCK))
        last = min(max(last, first + 1), len(starts) - 1)
        inside = slice(starts[first], starts[last])
        of_sentences = np.searchsorted(corpus.sentence_starts, (inside.start, inside.stop))
        block = Documents(
            np.asarray(corpus.tokens[inside]).astype(dtype),
            np.asarray(corpus.boundaries[inside]),
            starts[first : last + 1] - inside.start,
            corpus.sentence_starts[of_sentences[0] : of_sentences[1] + 1] - inside.start,
            np.zeros((last - first, DIGEST_BYTES), np.uint8),
            np.zeros(last - first, np.int64),
        )
        yield _shortened(block, runs, stands)
        first = last


def _shortened(
    block: Documents, runs: Mapping[Run, int], stands: Callable[[Run, Run, Run, int], bool]
) -> Documents:
    """A block with the new id in the place of each run of ids that is a new word."""
    tokens, kept = block.tokens.copy(), np.ones(len(block.tokens), bool)
    lengths = sorted({len(run) for run in runs}, reverse=True)
    starts = np.flatnonzero(block.boundaries & WORD)
    ends = np.append(starts[1:], len(tokens))
    edges = set(block.document_starts.tolist())
    likely = np.isin(tokens[starts], [run[0] for run in runs])
    for start, end in zip(starts[likely].tolist(), ends[likely].tolist(), strict=True):
        word = tuple(block.tokens[start:end].tolist())
        run = next((word[:n] for n in lengths if word[:n] in runs), ())
        if not run:
            continue
        before = () if start in edges else (int(block.tokens[start - 1]),)
        after = word[len(run) :] or (() if end in edges else (int(block.tokens[end]),))
        if stands(before, run, after, runs[run]):
            tokens[start] = runs[run]
            kept[start + 1 : start + len(run)] = False
    place = np.concatenate([[0], np.cumsum(kept)])  # of a token among those that are kept
    return replace(
        block,
        tokens=tokens[kept],
        boundaries=block.boundaries[kept],
        document_starts=place[block.document_starts],
        sentence_starts=place[block.sentence_starts],
    )


def _judge(tokenizer: Tokenizer) -> Callable[[Run, Run, Run, int], bool]:
    """Whether the tokenizer has a new id for a run of old ones between those beside it.

    An unknown character right after the run may be a letter, so that the word is another.
    """
    unknown = None if tokenizer.mark == WORDPIECE else (tokenizer.special.unk,)

    @functools.lru_cache(1 << 18)
    def stands(before: Run, run: Run, after: Run, new: int) -> bool:
        if after[:1] == unknown:
            return False
        (ids,) = tokenizer.encode_batch([tokenizer.decode((*before, *run, *after))])
        return new in ids

    return stands
