"""How far a backend is from plain attention in float32: what comes out, gradients, leaks."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from bertjax.model.attention.choice import Call
from bertjax.model.attention.interface import BTNH, attend

KERNELS = ("cudnn", "triton", "splash")
TOLERANCE = {"float32": 1e-3, "bfloat16": 2e-2}  # TF32 has ten bits, bfloat16 eight
_SCORES = 2**28  # numbers of plain attention's scores at once: 1 GiB


class Difference(NamedTuple):
    """Largest differences, as shares of the largest value; NaN is one too."""

    output: float
    gradients: float  # of queries, keys and values, the largest of the three
    leak: float  # absolute: what a change of another segment or of padding changes

    def tracks(self, dtype: str) -> bool:
        """Whether this is no more than rounding in `dtype`."""
        limit = TOLERANCE[dtype]
        return self.output < limit and self.gradients < limit and self.leak == 0


def segments_of(rows: str, B: int, T: int) -> np.ndarray:
    """Int [B, T]: one segment, one and padding, or three and padding, of differing lengths."""
    generator = np.random.default_rng(0)
    if rows == "full":
        return np.ones((B, T), np.int32)
    ends = np.sort(generator.integers(1, T, (B, 3)), axis=1)
    if rows == "padded":
        ends = ends[:, 2:]
    position = np.arange(T)
    after = (position[None, :, None] >= ends[:, None]).sum(axis=2)  # how many ends are behind
    return np.where(after < ends.shape[1], after + 1, 0).astype(np.int32)


def rows_at_once(call: Call, rows: int, heads: int, ways: int) -> int:
    """Of so many rows that go `ways` ways over the mesh, those that plain attention has room for.

    A multiple of `ways`, as `rows` is.
    """
    fitting = _SCORES // (heads * call.seq_len**2)
    return ways * max(1, min(rows // ways, fitting))


def inputs(call: Call, rows: int, heads: int, key: Array) -> tuple[list[Array], Array, Array]:
    """Random queries, keys, values [B, T, N, H], what is asked of the output, segments [B, T]."""
    shape = (rows, call.seq_len, heads, call.head_size)
    drawn = [jax.random.normal(one, shape).astype(call.dtype) for one in jax.random.split(key, 4)]
    if not jax.sharding.get_abstract_mesh().empty:
        drawn = [jax.lax.with_sharding_constraint(x, BTNH) for x in drawn]
    return drawn[:3], drawn[3], jnp.asarray(segments_of(call.rows, rows, call.seq_len))


def forward_and_backward(
    backend: str, call: Call, interpret: bool, qkv: Any, asked: Array, segments: Array
) -> tuple[Array, tuple[Array, ...]]:
    """What comes out where it is not padding, and the gradients."""
    real = (segments != 0)[:, :, None, None]
    run = partial(
        attend,
        segments_BT=segments,
        backend=backend,
        rows=call.rows,
        window=call.window,
        interpret=interpret,
    )
    out, pull = jax.vjp(run, *qkv)
    # Nothing is asked of padding: no loss reads it.
    return jnp.where(real, out, 0), pull(jnp.where(real, asked, 0).astype(out.dtype))


def difference(
    backend: str, call: Call, rows: int, heads: int, interpret: bool = False
) -> Difference:
    """Compare a backend on the devices with plain attention, on random rows of a call's shape."""
    qkv, asked, segments = jax.jit(partial(inputs, call, rows, heads))(jax.random.key(0))
    # One program for both calls: in two, equal places may be rounded otherwise.
    run = jax.jit(partial(forward_and_backward, backend, call, interpret))
    found = run(qkv, asked, segments)
    moved = jax.jit(_moved)(qkv, segments)
    after, _ = run(moved, asked, segments)
    with jax.default_matmul_precision("highest"):
        exact = jax.jit(partial(forward_and_backward, "reference", call, False))
        expected = exact(*jax.tree.map(lambda x: x.astype(jnp.float32), (qkv, asked)), segments)
    return Difference(*map(float, jax.jit(_compared)(found, expected, after, segments)))


def _moved(qkv: list[Array], segments: Array) -> list[Array]:
    """The same in the first segment, and other numbers elsewhere."""
    return [jnp.where((segments == 1)[:, :, None, None], x, x + 1) for x in qkv]


def _compared(found: Any, expected: Any, after: Array, segments: Array) -> tuple[Array, ...]:
    real, first = (x[:, :, None, None] for x in (segments != 0, segments == 1))
    pairs = zip(found[1], expected[1], strict=True)
    off = [_off(jnp.where(real, ours, 0), theirs) for ours, theirs in pairs]
    leak = jnp.max(jnp.abs(jnp.where(first, after - found[0], 0)))
    return _off(found[0], expected[0]), jnp.max(jnp.stack(off)), leak


def _off(a: Array, b: Array) -> Array:
    return jnp.max(jnp.abs(a.astype(jnp.float32) - b)) / jnp.max(jnp.abs(b))
