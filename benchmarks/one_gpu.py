"""Rates of BERT-base and -large on one GPU beside transformers and PyTorch, as a Markdown table.

    python benchmarks/one_gpu.py build/one-gpu build/one-gpu.md data.corpus=data/wiki

Each row is a `bertjax bench --compare transformers` in a process of its own: full rows, bfloat16,
masked LM alone, no dropout, on the given corpus, or on random text without one. Every cell is a
JSON file in the first directory and is measured once, so the command goes on where it was cut off.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("cells", type=Path, help="directory of one JSON file a cell")
    parser.add_argument("table", type=Path, help="Markdown file to write")
    parser.add_argument("--only", default="", help="cells with this in their name")
    parser.add_argument("--steps", type=int, default=40, help="timed steps a cell")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="for all cells")
    args = parser.parse_intermixed_args()
    args.cells.mkdir(parents=True, exist_ok=True)
    failed = []
    for (model, seq_len), (rows, _) in CELLS.items():
        path = args.cells / f"{model}-{seq_len}.json"
        if args.only in path.stem and not path.exists():
            phase = {"seq_len": seq_len, "batch_size": rows, "fraction": 1.0}
            command = [sys.executable, "-m", "bertjax", "bench", "--compare", "transformers"]
            command += ["--config", str(CONFIGS / f"bert_{model}.py"), "--steps", str(args.steps)]
            command += ["--json", str(path), *FIXED, f"data.phases={json.dumps([phase])}"]
            print(f"{path.stem}: {' '.join(args.overrides)}", flush=True)
            # One that fails must not keep the others from being measured.
            if subprocess.run([*command, *args.overrides], check=False).returncode:
                failed.append(path.stem)
    args.table.write_text(table(args.cells))
    if failed:
        print(f"not measured: {', '.join(failed)}; what went wrong is said above", file=sys.stderr)
    return 1 if failed else 0


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
                f"{report['attention']}; {report['transformers_settings']}; {report['text']}."
            )
    return "\n".join([text, *sorted(settings)]) + "\n"


def row(model: str, hoped: int, report: dict[str, Any]) -> str:
    rate = report["matmul_flops_per_second"] / 1e12
    return (
        f"| {model} | {report['shape']} | {report['tokens_per_second']:,.0f} ({hoped:,}) | "
        f"{report['utilisation_of_matmul']:.1%} of {rate:.3g} TFLOP/s "
        f"({HOPED_UTILISATION[model]:.0%}) | {report['input_wait_share']:.2%} | "
        f"{report['peak_bytes'] / 2**30:.1f} GiB | "
        f"{report['transformers_tokens_per_second']:,.0f} | {report['ratio']:.2f} |\n"
    )


if __name__ == "__main__":
    sys.exit(main())
