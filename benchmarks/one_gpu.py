"""Rates of BERT-base and -large on one GPU beside transformers and PyTorch, as a Markdown table.

    python benchmarks/one_gpu.py build/one-gpu build/one-gpu.md data.corpus=data/wiki

Each row is a `bertjax bench --compare transformers` in a process of its own: full rows, bfloat16,
masked LM alone, no dropout, on the given corpus, or on random text without one. The steps of all
are compiled first, side by side, into a cache that the benchmarks read. Every cell is a JSON file
in the first directory and is measured once, so the command goes on where it was cut off.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from datetime import date
from pathlib import Path
from typing import Any

import jax

from bertjax import sharding
from bertjax.bench.corpus import data_of
from bertjax.bench.ours import compile_step
from bertjax.config import PretrainConfig
from bertjax.objectives.choice import objective_of
from bertjax.overrides import apply_overrides
from bertjax.recipes.shipped import load_recipe
from bertjax.train.devices import make_mesh

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
# Model and tokens a row -> rows a step, and the real tokens/s hoped for on an H200. The rows leave
# room for PyTorch beside us, which scores every token where we score the predicted ones.
CELLS = {
    ("base", 128): (512, 750_000),
    ("base", 512): (128, 700_000),
    ("large", 128): (256, 250_000),
    ("large", 512): (64, 235_000),
}
HOPED_UTILISATION = {"base": 0.52, "large": 0.59}
FIXED = (
    "train.compute_dtype=bfloat16",
    "model.hidden_dropout=0",
    "model.attention_dropout=0",
    "data.format=full_rows",
    "data.short_seq_prob=0",
)
_APART = 7  # seconds between two compilers, each of which tries kernels out on the device


def main() -> int:
    if sys.argv[1:2] == ["--compile"]:
        return compile_cell(sys.argv[2], sys.argv[3:])
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("cells", type=Path, help="directory of one JSON file a cell")
    parser.add_argument("table", type=Path, help="Markdown file to write")
    parser.add_argument("--only", default="", help="cells with this in their name")
    parser.add_argument("--steps", type=int, default=40, help="timed steps a cell")
    parser.add_argument(
        "--compare", default="", help="cells with this in their name are measured in PyTorch too"
    )
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="for all cells")
    args = parser.parse_intermixed_args()
    args.cells.mkdir(parents=True, exist_ok=True)
    cells = {f"{model}-{T}": arguments(model, T, rows) for (model, T), (rows, _) in CELLS.items()}
    wanted = {
        name: [*fixed, *args.overrides]
        for name, fixed in cells.items()
        if args.only in name and not (args.cells / f"{name}.json").exists()
    }
    environment = os.environ | {
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        "JAX_COMPILATION_CACHE_DIR": str((args.cells / "compiled").absolute()),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    ahead = []
    for rest in wanted.values():
        if ahead:
            time.sleep(_APART)
        command = [sys.executable, __file__, "--compile", *rest]
        ahead.append(subprocess.Popen(command, env=environment))
    failed = [name for name, one in zip(wanted, ahead, strict=True) if one.wait()]
    for name, (config, *overrides) in wanted.items():
        path = args.cells / f"{name}.json"
        command = [sys.executable, "-m", "bertjax", "bench", "--no-parts", "--config", config]
        command += ["--steps", str(args.steps), "--json", str(path), *overrides]
        if args.compare in name:
            command += ["--compare", "transformers"]
        print(f"{name}: {' '.join(args.overrides)}", flush=True)
        # One that fails must not keep the others from being measured.
        if subprocess.run(command, check=False, env=environment).returncode:
            failed.append(name)
    args.table.write_text(table(args.cells))
    if failed:
        print(f"not measured: {', '.join(failed)}; what went wrong is said above", file=sys.stderr)
    return 1 if failed else 0


def arguments(model: str, seq_len: int, rows: int) -> list[str]:
    """The config and overrides of a cell."""
    phase = {"seq_len": seq_len, "batch_size": rows, "fraction": 1.0}
    return [str(CONFIGS / f"bert_{model}.py"), *FIXED, f"data.phases={json.dumps([phase])}"]


def compile_cell(config: str, overrides: list[str]) -> int:
    """Compile a cell's step, whose program JAX then keeps in its cache."""
    began = time.perf_counter()
    cfg = apply_overrides(load_recipe(config, PretrainConfig), overrides).with_trained_heads()
    cfg, data = data_of(cfg)
    corpus = data.first
    mesh, objective = make_mesh(cfg), objective_of(cfg, corpus.special, corpus.vocab_size)
    batch = data.training(cfg, 0).batch(0)
    with jax.set_mesh(mesh):
        on_devices = sharding.to_devices(mesh, batch, cfg.data.phases[0].batch_size)
        compile_step(cfg, mesh, objective, on_devices)
    print(f"{config}: compiled in {time.perf_counter() - began:.0f} s", flush=True)
    return 0


HEADER = """\
# One GPU

`{command}`, {day}.

| model | rows | tokens/s (hoped) | of the matmul rate (hoped) | waits | memory | theirs | ratio |
|---|---|---|---|---|---|---|---|
"""


def table(cells: Path) -> str:
    """The Markdown of all cells there are."""
    text = HEADER.format(command=" ".join(sys.argv), day=date.today().isoformat())
    settings = set()
    for (model, seq_len), (_, hoped) in CELLS.items():
        path = cells / f"{model}-{seq_len}.json"
        if path.exists():
            report = json.loads(path.read_text())
            text += row(model, hoped, report)
            settings.add(
                f"{report['device']}; jax {report['environment']['packages']['jax']}, "
                f"{report['attention']}; {report.get('transformers_settings', 'not compared')}; "
                f"{report['text']}."
            )
    return "\n".join([text, *sorted(settings)]) + "\n"


def row(model: str, hoped: int, report: dict[str, Any]) -> str:
    rate = report["matmul_flops_per_second"] / 1e12
    theirs = report.get("transformers_tokens_per_second")
    return (
        f"| {model} | {report['shape']} | {report['tokens_per_second']:,.0f} ({hoped:,}) | "
        f"{report['utilisation_of_matmul']:.1%} of {rate:.3g} TFLOP/s "
        f"({HOPED_UTILISATION[model]:.0%}) | {report['input_wait_share']:.2%} | "
        f"{report['peak_bytes'] / 2**30:.1f} GiB | "
        + (f"{theirs:,.0f} | {report['ratio']:.2f} |\n" if theirs else "| |\n")
    )


if __name__ == "__main__":
    sys.exit(main())
