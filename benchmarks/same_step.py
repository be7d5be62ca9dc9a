"""Whether two checkouts train to the same bits, and the step of which is slower.

    python benchmarks/same_step.py ../before .                           # bert_mini
    python benchmarks/same_step.py ../before . --config configs/bert_base.py --rows 4

Each checkout takes the same steps on the same random text, in processes of its own that take
turns. Prints the digest of its parameters, what its step was compiled to, its median time, and the
ratio of the two; exits with 1 if the digests differ. A busy machine moves the times, and not what
was compiled: `--rounds 1` is enough for that.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import collections, dataclasses, json, os, re, sys, time
import jax, bertjax
from bertjax.bench import corpus
from bertjax.bench.ours import Bench
from bertjax.config import Phase, PretrainConfig
from bertjax.recipes.files import load_config_file
from bertjax.runs.same_run import fingerprint
from bertjax.sharding import to_devices
from bertjax.train.devices import make_mesh

path, rows, length, same, timed = json.loads(sys.argv[1])
cfg = load_config_file(path, PretrainConfig)
cfg = dataclasses.replace(
    cfg,
    model=dataclasses.replace(cfg.model, vocab_size=30522),
    data=dataclasses.replace(cfg.data, phases=(Phase(length, rows),)),
)
mesh = make_mesh(cfg)
with jax.set_mesh(mesh):
    # Checkouts from before runs could have several corpora take the corpus itself.
    random_text = getattr(corpus, "random_data", corpus.random_corpus)
    bench = Bench(cfg, mesh, random_text(30522, 200_000))
    def step(index):
        batch = to_devices(mesh, bench.source.batch(index), rows)
        began = time.perf_counter()
        if hasattr(bench, "take"):
            metrics = bench.take(batch)
        else:  # a checkout whose steps were not given the seed
            bench.state, metrics = bench.compiled(bench.state, batch, None)
        jax.block_until_ready(metrics)
        return time.perf_counter() - began
    for index in range(1, same):
        step(index)
    digest = fingerprint(jax.device_get(bench.state.params))
    instructions = collections.Counter(re.findall(r"= \\S+ ([a-z-]+)\\(", bench.compiled.as_text()))
    cost, memory = bench.compiled.cost_analysis(), bench.compiled.memory_analysis()
    program = {
        "instructions": sum(instructions.values()),
        "GFLOP": cost["flops"] / 1e9,
        "GB moved": cost["bytes accessed"] / 1e9,
        "MB of temporaries": memory.temp_size_in_bytes / 1e6,
        "by kind": dict(sorted(instructions.items())),
    }
    times = [step(index) for index in range(same, same + timed)]
assert bertjax.__file__.startswith(os.getcwd()), bertjax.__file__
print(json.dumps([digest, program, times]))
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--config", type=Path, default=Path("configs/bert_mini.py"))
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--length", type=int, default=128, help="tokens of a row")
    parser.add_argument("--steps", type=int, default=5, help="before the parameters are compared")
    parser.add_argument("--timed", type=int, default=5, help="steps of a round")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    given = [str(args.config.absolute()), args.rows, args.length, args.steps, args.timed]
    digests, programs, medians = {}, {}, {args.before: [], args.after: []}
    for _ in range(args.rounds):
        for checkout, found in medians.items():
            digests[checkout], programs[checkout], times = measure(checkout, given)
            found.append(statistics.median(times))
    ratios = [a / b for b, a in zip(medians[args.before], medians[args.after], strict=True)]
    for checkout, found in medians.items():
        print(f"{checkout}  {digests[checkout]}  {1e3 * statistics.median(found):.1f} ms a step")
    print(f"after / before, by round: {' '.join(f'{r:.3f}' for r in ratios)}")
    for checkout, program in programs.items():
        figures = ", ".join(f"{n:,.6g} {name}" for name, n in program.items() if name != "by kind")
        print(f"{checkout}  compiled: {figures}")
    alike = programs[args.before] == programs[args.after]
    print(f"compiled programs: {'alike, kind by kind' if alike else 'DIFFERENT'}")
    same = len(set(digests.values())) == 1
    print(f"parameters after {args.steps} steps: {'the same bits' if same else 'DIFFERENT'}")
    return int(not same)


def measure(checkout: Path, given: list) -> tuple[str, dict, list[float]]:
    """Parameters, compiled step and seconds of each timed step, from a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(given)],
        cwd=checkout,  # which Python puts before all else
        env={**os.environ, "PYTHONPATH": str(checkout.absolute())},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{checkout}: {done.stderr}")
    return json.loads(done.stdout)


if __name__ == "__main__":
    sys.exit(main())
