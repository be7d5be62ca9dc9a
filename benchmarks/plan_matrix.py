"""Plans of BERT-base and -large for TPU slices from 4 to 256 chips, as docs/tpu-plans.md.

    python benchmarks/plan_matrix.py build/tpu-plans docs/tpu-plans.md    # hours; resumes
    python benchmarks/plan_matrix.py build/small small.md --only base-128-v5e-4 model.num_layers=2

Needs the extra `tpu`. Every cell is a JSON file in the first directory and is compiled once. Rows a
chip are halved from where they start until the step fits.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax

from bertjax.cli.main import in_one_line
from bertjax.config import PretrainConfig
from bertjax.errors import UserError, nearest
from bertjax.overrides import apply_overrides
from bertjax.plan.compile import Compiled, compile_step
from bertjax.plan.phases import describe
from bertjax.plan.report import to_json
from bertjax.plan.topology import parse_topology
from bertjax.recipes.files import load_config

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
MODELS = ("base", "large")
SEQ_LENS = (128, 512)
# Topology -> rows a chip of 512 tokens to begin with; four times as many of 128.
TOPOLOGIES = {
    **dict.fromkeys(("v5e-4", "v5e-64", "v5e-256"), 16),
    **dict.fromkeys(("v5p-8", "v5p-128", "v5p-512"), 64),
    **dict.fromkeys(("v6e-8", "v6e-256"), 32),
}
CELLS = [(m, t, s) for m in MODELS for t in SEQ_LENS for s in TOPOLOGIES]
FIXED = ("model.vocab_size=30522", "train.compute_dtype=bfloat16")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("cells", type=Path, help="directory of one JSON file a cell")
    parser.add_argument("table", type=Path, help="Markdown file to write")
    parser.add_argument("--only", default="", help="cells with this in their name")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="for all cells")
    options = parser.parse_intermixed_args()
    jax.config.update("jax_platforms", "cpu")
    names = [f"{model}-{seq_len}-{topology}" for model, seq_len, topology in CELLS]
    if not any(options.only in name for name in names):
        raise UserError(f"--only {options.only}: {nearest(options.only, names)}")
    if importlib.util.find_spec("libtpu") is None:
        raise UserError("compiling for TPUs needs libtpu: pip install 'bertjax[tpu]'")
    options.cells.mkdir(parents=True, exist_ok=True)
    for model, seq_len, topology in CELLS:
        path = options.cells / f"{model}-{seq_len}-{topology}.json"
        if options.only in path.stem and not path.exists():
            cell = plan_cell(model, seq_len, topology, options.overrides)
            partial = path.with_suffix(".partial")
            partial.write_text(json.dumps(cell, indent=1) + "\n")
            partial.rename(path)
            print(path.stem, flush=True)
    options.table.write_text(table(options.cells, options.overrides))
    return 0


def plan_cell(model: str, seq_len: int, name: str, overrides: list[str]) -> dict[str, Any]:
    """Plan the most rows a chip, of those tried, that fit; `refused` says what did not."""
    topology = parse_topology(name)
    cfg = load_config(CONFIGS / f"bert_{model}.py", PretrainConfig)
    rows = TOPOLOGIES[name] * 512 // seq_len
    refused: list[str] = []
    while rows:
        phase = {"seq_len": seq_len, "batch_size": rows * topology.chips, "fraction": 1.0}
        cfg = apply_overrides(cfg, [*FIXED, f"data.phases={json.dumps([phase])}", *overrides])
        result = compile_step(cfg, topology, cfg.data.phases[0])
        if isinstance(result, Compiled):
            plan = describe(cfg, topology, cfg.data.phases[0], result)
            return {"refused": refused, **to_json(cfg, topology, [plan])}
        refused.append(f"{rows} rows need {result.needed / 2**30:.1f} GiB")
        rows //= 2
    raise UserError(f"{model} of {seq_len} does not fit {name}: {'; '.join(refused)}")


HEADER = """\
# Plans for TPU slices

The real training step of configs/bert_base.py and bert_large.py, compiled for slices that were not
there, and what the roofline predicts from it. No row is a measurement; speeds assume the stated
share of the peak. Memory is the sum of the kinds that the compiler reports, which can be more than
it lays out at once: every step here was accepted. Written by `{command}`
with jax {jax} and libtpu {libtpu}.

| model | T | slice | rows a chip | memory a chip | moved | bound by | tokens/s | assumed |
|---|---|---|---|---|---|---|---|---|
"""


def table(cells: Path, overrides: list[str]) -> str:
    """The Markdown of all cells there are, and which are missing."""
    text = HEADER.format(command=" ".join(sys.argv), jax=version("jax"), libtpu=version("libtpu"))
    missing = []
    for model, seq_len, topology in CELLS:
        path = cells / f"{model}-{seq_len}-{topology}.json"
        if path.exists():
            text += row(model, seq_len, topology, json.loads(path.read_text()))
        else:
            missing.append(path.stem)
    return text + (f"\nNot compiled yet: {', '.join(missing)}.\n" if missing else "")


def row(model: str, seq_len: int, topology: str, cell: dict[str, Any]) -> str:
    (phase,) = cell["phases"]
    roof, used = phase["roofline"], phase["memory"]["total"]
    moved = sum(kind["bytes"] for kind in phase["collectives"].values())
    rows = f"{phase['batch_size'] // cell['chips']}"
    if cell["refused"]:
        rows += f" ({cell['refused'][-1]})"
    return (
        f"| {model} | {seq_len} | {topology} ({cell['topology']}) | {rows} | "
        f"{used / 2**30:.2f} of {cell['memory_available'] / 2**30:.2f} GiB | "
        f"{moved / 1e6:.0f} MB | "
        f"{roof['bound']}, from {roof['bound_from']:,.0f} tokens a chip, has "
        f"{roof['tokens_per_chip']:,.0f} | {roof['tokens_per_second'] / 1e6:.2f} M | "
        f"{roof['utilisation']:.0%} of {roof['peak'] / 1e12:.0f} TFLOP/s |\n"
    )


if __name__ == "__main__":
    sys.exit(in_one_line("plan_matrix.py", main))
