"""Random draws that are pure functions of where they are used, many at a time.

A generator with state would tie each draw to all the draws before it. Here a draw is a hash of its
coordinates, for example (seed, purpose, epoch, row), so any row of any epoch can be made alone and
in any order. The hash chains SplitMix64 (Steele, Lea and Flood 2014): every coordinate selects an
element of the SplitMix64 sequence that starts at the hash of the coordinates before it.
"""

from __future__ import annotations

import numpy as np

from bertjax.data.ragged import ragged

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # odd, so distinct coordinates give distinct states
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)

Coordinate = int | np.ndarray


def bits(*coordinates: Coordinate) -> np.ndarray:
    """Hash non-negative integers, broadcast against each other, to uniform uint64."""
    state = np.zeros((), np.uint64)
    with np.errstate(over="ignore"):  # arithmetic modulo 2**64 is the point
        for coordinate in coordinates:
            state = _mix(
                state + (np.asarray(coordinate).astype(np.uint64) + np.uint64(1)) * _GOLDEN
            )
    return state


def uniform(*coordinates: Coordinate) -> np.ndarray:
    """Draw float64 in [0, 1), on a grid of 2**-53."""
    return (bits(*coordinates) >> np.uint64(11)) * 2.0**-53


def below(limit: Coordinate, *coordinates: Coordinate) -> np.ndarray:
    """Draw int64 in [0, limit). No value is favoured by more than limit / 2**53."""
    return (uniform(*coordinates) * limit).astype(np.int64)


def coin(*coordinates: Coordinate) -> np.ndarray:
    """Draw a fair bool."""
    return bits(*coordinates) >> np.uint64(63) != 0


def heads(tosses: np.ndarray, *coordinates: Coordinate) -> np.ndarray:
    """Count the heads of `tosses[i]` fair coins, for int64 [n] `tosses`; int64 [n].

    Coin k of row i is bit k % 64 of `bits(*coordinates[i], k // 64)`, so a loop that tosses one
    coin after another can reproduce the count.
    """
    row, word = ragged(-(-tosses // 64))
    unused = np.maximum(64 * (word + 1) - tosses[row], 0).astype(np.uint64)
    drawn = bits(*(np.broadcast_to(c, tosses.shape)[row] for c in coordinates), word)
    counts = np.bitwise_count(drawn << unused)
    return np.bincount(row, counts, minlength=len(tosses)).astype(np.int64)


def _mix(state: np.ndarray) -> np.ndarray:
    state = (state ^ (state >> np.uint64(30))) * _MIX_1
    state = (state ^ (state >> np.uint64(27))) * _MIX_2
    return state ^ (state >> np.uint64(31))
