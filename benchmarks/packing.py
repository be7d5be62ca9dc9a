"""What packing short documents is worth: one document a row, padded, against several, isolated.

    python benchmarks/packing.py --config bert_mini [key=value ...]

Random ids in documents of 132 tokens, about 100 words of English, in rows of 512. Both sides take
the same model, as many rows a step, and turns in one run. The bar: 1.6 times the real tokens/s.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from dataclasses import replace

import jax

from bertjax.bench.corpus import random_data
from bertjax.bench.ours import Bench, alternate
from bertjax.cli.main import in_one_line
from bertjax.cli.memory import keep_freed_memory
from bertjax.config import PretrainConfig
from bertjax.overrides import apply_overrides
from bertjax.recipes.shipped import load_recipe
from bertjax.train.devices import make_mesh

DOCUMENT = 132  # tokens
PHASE = {"seq_len": 512, "batch_size": 8, "fraction": 1.0}
FIXED = (
    "data.format=doc_sentences",
    "data.short_seq_prob=0",
    "model.vocab_size=30522",
    f"data.phases={json.dumps([PHASE])}",
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", required=True)
    parser.add_argument("--rounds", type=int, default=8, help="turns of each side, of two steps")
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    args = parser.parse_intermixed_args()
    keep_freed_memory()
    cfg = apply_overrides(load_recipe(args.config, PretrainConfig), [*FIXED, *args.overrides])
    cfg = cfg.with_trained_heads()
    data = random_data(cfg.model.vocab_size, 2_000_000, DOCUMENT)
    benches = {}
    for name, packed in (("padded", 1), ("packed", 8)):
        side = replace(cfg, data=replace(cfg.data, max_packed=packed))
        mesh = make_mesh(side)
        with jax.set_mesh(mesh):
            benches[name] = Bench(side, mesh, data)
    with jax.set_mesh(mesh):
        for _ in alternate(list(benches.values()), args.rounds, 2):
            pass
    rates = {}
    for name, bench in benches.items():
        step, tokens = statistics.median(bench.steps), statistics.fmean(bench.tokens)
        full = tokens / (bench.rows * bench.of_phase.data.phases[0].seq_len)
        rates[name] = tokens / step
        print(f"{name}: {step:.3f} s a step, {full:.0%} real, {rates[name]:,.0f} real tokens/s")
    print(f"packed is {rates['packed'] / rates['padded']:.2f} times as fast")
    return 0


if __name__ == "__main__":
    sys.exit(in_one_line("packing.py", main))
