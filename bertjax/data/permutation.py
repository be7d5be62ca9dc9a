"""The order of an epoch: a permutation of its rows that a seed picks, any place of it by itself.

A block cipher permutes the numbers that fit its block. Where there are fewer rows, a number that is
none of them is encrypted again until it is one (cycle walking: Black and Rogaway, "Ciphers with
arbitrary finite domains", 2002). The cipher is Simon (Beaulieu et al. 2013) in four rounds, with a
block as small as the rows allow, and with round keys by C++'s `std::seed_seq`: the orders are those
of Grain's `index_shuffle`, which datasets of Grain and TFDS have. Where rows are one more than a
power of 4 it repeats a row and this does not.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

_ROUNDS = 4
_SMALLEST_BLOCK = 16  # bits; smaller ones leave patterns
_WORD = 0xFFFFFFFF


def permuted(place: np.ndarray, rows: int, seed: int) -> np.ndarray:
    """The rows, int64 [n], at places [n] of the order that `seed`, a uint32, gives `rows` rows."""
    bits = max((rows - 1).bit_length(), _SMALLEST_BLOCK)
    bits += bits % 2  # two words of as many bits
    if bits == _SMALLEST_BLOCK:
        return _whole_order(rows, seed)[place]
    found = _encrypt(place.astype(np.uint64), bits // 2, seed)
    while len(outside := np.flatnonzero(found >= rows)):
        found[outside] = _encrypt(found[outside], bits // 2, seed)
    return found.astype(np.int64)


@lru_cache(maxsize=4)  # of an epoch and the next, in training and in evaluation
def _whole_order(rows: int, seed: int) -> np.ndarray:
    """The same at every place, int64 [rows]: small blocks would be walked for a long time."""
    follows = _encrypt(np.arange(1 << _SMALLEST_BLOCK, dtype=np.uint64), _SMALLEST_BLOCK // 2, seed)
    follows = found = follows.astype(np.int64)
    while (outside := found >= rows)[:rows].any():  # twice as far along the walk each time
        found = np.where(outside, follows[found], found)
        follows = found
    return found[:rows]


def _encrypt(numbers: np.ndarray, word: int, seed: int) -> np.ndarray:
    """Numbers of twice `word` bits, uint64 [n]."""
    mask = np.uint64((1 << word) - 1)

    def rotated(x: np.ndarray, by: int) -> np.ndarray:
        return (x << np.uint64(by) | x >> np.uint64(word - by)) & mask

    def mixed(x: np.ndarray) -> np.ndarray:
        return rotated(x, 1) & rotated(x, 8) ^ rotated(x, 2)

    left, right = numbers >> np.uint64(word), numbers & mask
    keys = iter(np.array(_round_keys(seed), np.uint64) & mask)
    for one, other in zip(keys, keys, strict=True):
        left = left ^ mixed(right) ^ one
        right = right ^ mixed(left) ^ other
    return left << np.uint64(word) | right


@lru_cache(maxsize=64)
def _round_keys(seed: int) -> tuple[int, ...]:
    """Four uint32 by `std::seed_seq{seed}` (C++ standard, [rand.util.seedseq])."""
    n = _ROUNDS
    made = [0x8B8B8B8B] * n
    for k in range(2 * n):
        here, after, later = k % n, (k + 1) % n, (k + 2) % n
        if k < n:
            mixed = made[here] ^ made[after] ^ made[(k - 1) % n]
            drawn = 1664525 * (mixed ^ mixed >> 27) & _WORD
            last = drawn + (1, here + seed)[k] if k < 2 else drawn + here
            made[after] = made[after] + drawn & _WORD
            made[later] = made[later] + last & _WORD
        else:
            mixed = made[here] + made[after] + made[(k - 1) % n] & _WORD
            drawn = 1566083941 * (mixed ^ mixed >> 27) & _WORD
            last = drawn - here
            made[after] ^= drawn
            made[later] ^= last & _WORD
        made[here] = last & _WORD
    return tuple(made)
