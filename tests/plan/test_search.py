"""The search for the largest batch, against counting up one by one."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from bertjax.plan.compile import Compiled, MemoryBytes, TooLarge
from bertjax.plan.search import largest

AVAILABLE = 1_000_000


class Compiler:
    """Needs `fixed` bytes and so many a unit, up to noise; counts what it is asked."""

    def __init__(self, fixed: int, unit: int, wave: int = 0):
        self.fixed, self.unit, self.wave = fixed, unit, wave
        self.calls: list[int] = []

    def temporaries(self, n: int) -> int:
        return n * self.unit + (n * 7919 % 13) * self.wave

    def fits(self, n: int) -> bool:
        return self.fixed + self.temporaries(n) <= AVAILABLE

    def __call__(self, n: int) -> Compiled | TooLarge:
        self.calls.append(n)
        if not self.fits(n):  # says only what temporaries take, as libtpu does
            return TooLarge(max(self.temporaries(n), AVAILABLE + 1), AVAILABLE)
        return Compiled(MemoryBytes(self.fixed, 0, 0, self.temporaries(n), 0), (), 0.0)


@example(fixed=0, unit=2898, wave=9650, start=133, limit=300)
@given(
    st.integers(0, AVAILABLE + 10),
    st.integers(1, AVAILABLE),
    st.integers(0, 20_000),
    st.integers(1, 300),
    st.integers(1, 300),
)
def test_finds_the_largest_to_a_32nd(fixed, unit, wave, start, limit):
    compiler = Compiler(fixed, unit, wave)
    found = largest(compiler, start, limit, AVAILABLE)
    assert 0 <= found <= limit
    assert found == 0 or compiler.fits(found)
    # Nothing is left just above it, or something there was tried and refused.
    step = max(1, found // 32)
    assert found + step > limit or any(
        found < n <= found + step and not compiler.fits(n) for n in compiler.calls
    )
    assert len(compiler.calls) == len(set(compiler.calls)), "compiled one size twice"


@given(st.integers(1, 400_000), st.integers(2_500, 100_000), st.integers(1, 64))
def test_memory_that_grows_evenly_takes_few_compilations(fixed, unit, start):
    compiler = Compiler(fixed, unit)
    found = largest(compiler, start, 2**20, AVAILABLE)
    exact = (AVAILABLE - fixed) // unit
    assert exact - max(1, exact // 32) < found <= exact
    assert len(compiler.calls) <= 8


def test_everything_fits():
    assert largest(Compiler(0, 1), 3, 100, AVAILABLE) == 100


def test_nothing_fits():
    assert largest(Compiler(AVAILABLE + 1, 1), 8, 100, AVAILABLE) == 0
