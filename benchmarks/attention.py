"""Every attention backend that runs on the device here: right, and how fast.

    python benchmarks/attention.py                             # 64 rows, 12 heads of 64, bfloat16
    python benchmarks/attention.py --rows 4 --dtype float32    # on a CPU
    python benchmarks/attention.py --rows 1 --dtype float32 --lengths 1024 2048 --window 64

With a window all backends compute the local layers of ModernBERT: a token and so many to each side.

For rows that are full, padded and packed: the largest differences from plain attention in float32
of what comes out and of the three gradients, as shares of the largest value; what a change of
another segment (or of padding) changes, which must be nothing; milliseconds forward and backward.
Exits with 1 if a backend is wrong.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from bertjax.bench.clock import seconds
from bertjax.cli.main import in_one_line
from bertjax.errors import UserError
from bertjax.model.attention import Call, Window, attend, choose

BACKENDS = ("reference", "local", "cudnn", "triton", "splash")
TOLERANCE = {"float32": 1e-3, "bfloat16": 2e-2}  # TF32 has ten bits, bfloat16 eight


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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--heads", type=int, default=12)
    parser.add_argument("--head-size", type=int, default=64)
    parser.add_argument("--dtype", default="bfloat16", choices=TOLERANCE)
    parser.add_argument("--lengths", type=int, nargs="+", default=[128, 512], help="tokens a row")
    parser.add_argument("--window", type=int, help="keys to each side that a token sees")
    options = parser.parse_args()
    window = None if options.window is None else (options.window, options.window)
    device = jax.devices()[0]
    print(f"{device.device_kind}, jax {jax.__version__}, {options}")
    wrong = 0
    print("| T | rows | backend | output | gradients | leak | ms |\n|---|---|---|---|---|---|---|")
    for T in options.lengths:
        for rows in ("full", "padded", "packed"):
            for backend in BACKENDS:
                call = Call(device.platform, options.dtype, T, options.head_size, rows, window)
                try:
                    choose(backend, call)
                except UserError as error:
                    reason = str(error).removeprefix(f"train.attention={backend} ").split(":")[0]
                    if not reason.startswith("runs on"):
                        print(f"| {T} | {rows} | {backend} | {reason} | | | |")
                    continue
                wrong += not compare(backend, rows, T, window, options)
    return int(wrong > 0)


def compare(backend: str, rows: str, T: int, window: Window, options: argparse.Namespace) -> bool:
    """Print a line; whether the backend is right."""
    B, N, H = options.rows, options.heads, options.head_size
    segments = segments_of(rows, B, T)
    real = jnp.asarray(segments != 0)[:, :, None, None]
    *qkv, d = (
        jax.random.normal(key, (B, T, N, H)).astype(options.dtype)
        for key in jax.random.split(jax.random.key(0), 4)
    )

    def run(backend, dtype, q, k, v):
        inputs = [x.astype(dtype) for x in (q, k, v)]
        ids = jnp.asarray(segments)
        call = partial(attend, segments_BT=ids, backend=backend, rows=rows, window=window)
        out, pull = jax.vjp(call, *inputs)
        # Nothing is asked of padding: no loss reads it.
        return jnp.where(real, out, 0), pull(jnp.where(real, d, 0).astype(dtype))

    ours = jax.jit(partial(run, backend, options.dtype))
    with jax.default_matmul_precision("highest"):
        wanted = jax.jit(partial(run, "reference", "float32"))(*qkv)
    found = ours(*qkv)

    def difference(a, b):
        a, b = a.astype(jnp.float32), b.astype(jnp.float32)
        return float(jnp.max(jnp.abs(a - b)) / jnp.max(jnp.abs(b)))

    output = difference(found[0], wanted[0])
    pairs = zip(found[1], wanted[1], strict=True)
    gradients = max(difference(jnp.where(real, a, 0), b) for a, b in pairs)
    first = jnp.asarray(segments == 1)[:, :, None, None]
    moved = [jnp.where(first, x, x + 1) for x in qkv]
    leak = float(jnp.max(jnp.abs(jnp.where(first, ours(*moved)[0] - found[0], 0))))
    time = statistics.median(seconds(lambda: ours(*qkv), 10))
    tolerance = TOLERANCE[options.dtype]
    right = output < tolerance and gradients < tolerance and leak == 0
    print(
        f"| {T} | {rows} | {backend} | {output:.1e} | {gradients:.1e} | {leak:.0e} | "
        f"{1e3 * time:.2f} |{'' if right else ' WRONG'}",
        flush=True,
    )
    return right


if __name__ == "__main__":
    sys.exit(in_one_line("attention.py", main))
