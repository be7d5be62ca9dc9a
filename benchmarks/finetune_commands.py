"""Whole fine-tuning commands, ours and PyTorch's: what a person waits for, compiling included.

    python benchmarks/finetune_commands.py HF_DIR --config sst2 [key=value ...]

Three commands in turn, so many rounds: `benchmarks/finetune_pytorch.py`; ours where nothing is in
the compilation cache; ours again, where all is. The bars for 640 rows: 1.5 and 1.0 times PyTorch's
seconds; for 10,000 rows 0.8 for the last.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent


def measured(command: list[str], cache: Path) -> tuple[float, float]:
    """Wall and CPU seconds of a command."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    environment = {**os.environ, "JAX_COMPILATION_CACHE_DIR": str(cache)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.monotonic() - began, busy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", help="Hugging Face directory of a BERT")
    parser.add_argument("--config", required=True)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("overrides", nargs="*")
    args = parser.parse_intermixed_args()
    recipe = ["--config", args.config, *args.overrides]
    found: dict[str, list[tuple[float, float]]] = {"PyTorch": [], "cold": [], "warm": []}
    for _ in range(args.rounds):
        with tempfile.TemporaryDirectory() as name:
            scratch = Path(name)
            for which, runs in found.items():
                out = str(scratch / which)
                command = [sys.executable, str(HERE / "finetune_pytorch.py"), args.directory, out]
                if which != "PyTorch":
                    command = [sys.executable, "-m", "bertjax", "finetune", "--workdir", out]
                    command += ["--init", args.directory]
                runs.append(measured([*command, *recipe], scratch / "cache"))
                print(f"{which:8} {runs[-1][0]:7.1f} s, {runs[-1][1]:7.1f} s of CPU", flush=True)
    print(f"\n{'':8}{'s':>9}{'ratio':>8}{'CPU s':>9}{'ratio':>8}")
    theirs = [statistics.median(values) for values in zip(*found["PyTorch"], strict=True)]
    for which, runs in found.items():
        ours = [statistics.median(values) for values in zip(*runs, strict=True)]
        ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
        print(f"{which:8}{ours[0]:9.1f}{ratios[0]:8.2f}{ours[1]:9.1f}{ratios[1]:8.2f}")


if __name__ == "__main__":
    sys.exit(main())
