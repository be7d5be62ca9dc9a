"""Training text that stands in a probe: runs of 13 pieces that both have, counted.

Sentences of minimal pairs are often shorter; of these the whole is looked for, from 6 pieces on,
since fewer are in any text. Both sides are ids of the same tokenizer, so case and spaces are
compared as the model sees them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

LONGEST = 13  # pieces of a run (Brown et al. 2020, appendix C: 13-grams)
FEWEST = 6
_BASE = np.uint64(0x9E3779B97F4A7C15)  # odd, so that no factor of a hash is lost
_CHUNK = 1 << 20  # tokens hashed at a time
_BITS = 22
_REST = np.uint64(64 - _BITS)


def leaked_sentences(tokens: np.ndarray, sentences: Sequence[np.ndarray]) -> np.ndarray:
    """Which sentences have a run of pieces that stands in the text, bool [len(sentences)].

    Args:
        tokens: ids of the training text, end to end.
        sentences: ids of each sentence of a probe, without special tokens.
    """
    wanted = {
        length: np.unique(np.concatenate(runs))
        for length in range(FEWEST, LONGEST + 1)
        if (runs := [_runs(s, length) for s in sentences if _length(s) == length])
    }
    found = {length: np.zeros(len(hashes), bool) for length, hashes in wanted.items()}
    # Nearly no run of the text is wanted: most are told by a few bits of their hash.
    marked = {length: _marks(hashes) for length, hashes in wanted.items()}
    for start in range(0, len(tokens), _CHUNK):
        # Runs that begin in this chunk may end in the next.
        text = np.asarray(tokens[start : start + _CHUNK + LONGEST - 1])
        for length, hashes in _all_runs(text, wanted.keys()):
            likely = hashes[marked[length][hashes >> _REST]]
            found[length] |= np.isin(wanted[length], likely)
    there = {length: wanted[length][found[length]] for length in wanted}
    return np.array(
        [
            _length(s) in there and bool(np.isin(_runs(s, _length(s)), there[_length(s)]).any())
            for s in sentences
        ],
        bool,
    )


def _marks(hashes: np.ndarray) -> np.ndarray:
    """Which first bits these hashes have, bool [2^22]."""
    marks = np.zeros(1 << _BITS, bool)
    marks[hashes >> _REST] = True
    return marks


def _length(sentence: np.ndarray) -> int:
    """Pieces of the runs that are looked for of a sentence."""
    return min(len(sentence), LONGEST)


def _runs(ids: np.ndarray, length: int) -> np.ndarray:
    """A hash of every run of so many ids, uint64."""
    return dict(_all_runs(ids, {length}))[length]


def _all_runs(ids: np.ndarray, lengths: Iterable[int]) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (length, hashes of all runs of it), shortest first; a run's hash is made of the last.

    A polynomial modulo 2^64, whose sums wrap as unsigned integers do.
    """
    lengths = set(lengths)
    ids = np.asarray(ids, np.uint64) + np.uint64(1)
    hashes = np.zeros(len(ids) + 1, np.uint64)
    for length in range(1, max(lengths, default=0) + 1):
        if length > len(ids):
            yield from ((n, np.zeros(0, np.uint64)) for n in lengths if n >= length)
            return
        hashes = hashes[: len(ids) - length + 1] * _BASE + ids[length - 1 :]
        if length in lengths:
            yield length, hashes
