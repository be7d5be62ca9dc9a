"""Whether two checkouts build the same corpus, and which of them takes longer.

    python benchmarks/same_build.py ../before . TEXT... --tokenizer vocab.txt [--workers 1]

Each checkout runs `bertjax prepare` on the same text, in processes of its own that take turns.
Prints seconds by the clock and of the processor, the ratio of each round, and whether the tokens
are the same bytes. Exits with 1 if the median ratio of processor seconds is above the bar. A busy
machine moves the clock's seconds most.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

BAR = 1.1  # after / before, processor seconds


class Cost(NamedTuple):
    """What one build takes, the start of Python included."""

    seconds: float
    cpu_seconds: float  # user and system, of all its processes


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("text", nargs="+", type=Path)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    words = [*(str(path.absolute()) for path in args.text)]
    words += ["--tokenizer", str(args.tokenizer.absolute()), "--workers", str(args.workers)]
    costs: dict[Path, list[Cost]] = {args.before: [], args.after: []}
    digests = {}
    for _ in range(args.rounds):
        for checkout, found in costs.items():
            cost, digests[checkout] = build(checkout, words)
            found.append(cost)
    for checkout, found in costs.items():
        clock, cpu = (statistics.median(each) for each in zip(*found, strict=True))
        print(f"{checkout}  {clock:.2f} s by the clock, {cpu:.2f} s of the processor, medians")
    for name in Cost._fields:
        pairs = zip(costs[args.before], costs[args.after], strict=True)
        ratios = [getattr(after, name) / getattr(before, name) for before, after in pairs]
        shown = " ".join(f"{ratio:.3f}" for ratio in ratios)
        print(f"after / before, {name}: {statistics.median(ratios):.3f} ({shown})")
    same = len(set(digests.values())) == 1
    print(f"tokens: {'the same bytes' if same else 'DIFFERENT'}")
    return int(statistics.median(ratios) > BAR)


def build(checkout: Path, words: list[str]) -> tuple[Cost, str]:
    """Run `prepare` of a checkout; what it takes, and a digest of the training tokens."""
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "corpus"
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "bertjax", "prepare", *words, "--out", str(out)],
            cwd=checkout,  # which Python puts before all else
            env={**os.environ, "PYTHONPATH": str(checkout.absolute())},
            stdout=subprocess.DEVNULL,
        )
        _, status, used = os.wait4(process.pid, 0)  # its own workers are counted, as it waits
        seconds = time.perf_counter() - began
        if status:
            raise SystemExit(f"{checkout}: prepare failed")
        tokens = sorted(out.rglob("tokens*"))
        digest = hashlib.sha256(b"".join(path.read_bytes() for path in tokens)).hexdigest()
    return Cost(seconds, used.ru_utime + used.ru_stime), digest


if __name__ == "__main__":
    sys.exit(main())
