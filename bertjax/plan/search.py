"""The largest batch that fits, in few compilations."""

from __future__ import annotations

from collections.abc import Callable

from bertjax.plan.compile import Compiled, TooLarge

_RESOLUTION = 32  # stop when what is known to fit and not to fit differ by 1/32


def largest(
    compile_at: Callable[[int], Compiled | TooLarge], start: int, limit: int, available: float
) -> int:
    """The largest size from 1 to `limit` that fits, to a 32nd; 0 if not even 1 does.

    What does not depend on the size aside, memory grows in proportion to it, so each compilation
    tells about where the limit is, and the next one above it that it is there. Where that is no
    help (the compiler rematerialises near the limit), the interval is halved.

    Args:
        compile_at: compiles a batch of so many units, rows a chip for instance.
        start: the size to try first.
        limit: the largest size to try.
        available: bytes of a chip.
    """
    fits, too_large, trial, step = 0, limit + 1, min(start, limit), 1
    while True:
        result = compile_at(trial)
        full = False
        if isinstance(result, TooLarge):
            too_large = trial
            # `needed` leaves out what it has not counted yet, so it flatters larger sizes.
            guess = min(int(trial * result.available / result.needed), (fits + trial) // 2)
        else:
            fits, memory = trial, result.memory
            fixed = memory.total - memory.temporaries
            guess = int(trial * (available - fixed) / max(1, memory.temporaries))
            full = guess <= fits
        resolution = max(1, fits // _RESOLUTION)
        if too_large - fits <= resolution:
            return fits
        if too_large > limit:
            guess = min(guess, limit)
        trial = (fits + too_large) // 2
        if fits < guess < too_large:
            trial = guess
        elif full:  # it seems: try a little more, and more each time
            trial = min(trial, fits + step * resolution)
            step *= 2
