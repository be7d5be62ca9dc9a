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

from bertjax.bench.clock import seconds
from bertjax.cli.main import in_one_line
from bertjax.errors import UserError
from bertjax.model.attention import TOLERANCE, Call, choose, difference
from bertjax.model.attention.check import forward_and_backward, inputs

BACKENDS = ("reference", "local", "cudnn", "triton", "splash")


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
                wrong += not compare(backend, call, options)
    return int(wrong > 0)


def compare(backend: str, call: Call, options: argparse.Namespace) -> bool:
    """Print a line; whether the backend is right."""
    found = difference(backend, call, options.rows, options.heads)
    given = inputs(call, options.rows, options.heads, jax.random.key(0))
    ours = jax.jit(partial(forward_and_backward, backend, call, False))
    time = statistics.median(seconds(lambda: ours(*given), 10))
    right = found.tracks(call.dtype)
    print(
        f"| {call.seq_len} | {call.rows} | {backend} | {found.output:.1e} | "
        f"{found.gradients:.1e} | {found.leak:.0e} | {1e3 * time:.2f} |{'' if right else ' WRONG'}",
        flush=True,
    )
    return right


if __name__ == "__main__":
    sys.exit(in_one_line("attention.py", main))
