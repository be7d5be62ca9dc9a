"""What rows without labels are worth: test scores over few labels, methods and seeds.

    python benchmarks/unlabelled_rows.py HF_DIR --config sst2 --rows train.tsv --test dev.tsv \\
        --workdir DIR [--sizes 50,200,1000] [--methods supervised,self_training,mmd] [key=value ...]

Every seed draws its own rows of --rows: as many labelled ones as the size says, 200 to choose the
best epoch and round by, and --pool of which a method may read the text alone (`--pool-file`: from
another file, as where test is of another domain). `supervised` has the labelled rows alone, `all`
the labels of the pool too. A run that is there is not trained again. Printed are the mean over
seeds of the score on --test, and of the difference from `supervised` with its 95 % interval
(Student's t over seeds).
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
from pathlib import Path

from scipy import stats

from bertjax.cli.main import in_one_line
from bertjax.cli.main import main as bertjax
from bertjax.errors import UserError

DEV = 200  # rows by which the best epoch and round are chosen
METHODS: dict[str, tuple[str, ...]] = {
    "supervised": (),
    "self_training": ("transfer.method=self_training", "transfer.rounds=2"),
    "weighted": ("transfer.method=weighted_pseudo_labels", "transfer.mean=each"),
    "mmd": ("transfer.method=mmd",),
    "dann": ("transfer.method=dann", "transfer.weight=1"),
    "all": (),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=Path, help="encoder to start from")
    parser.add_argument("--config", required=True, help="recipe of the task")
    parser.add_argument("--rows", type=Path, required=True, help="a TSV with a header, or CoNLL")
    parser.add_argument("--test", type=Path, required=True, help="labelled, never learnt from")
    parser.add_argument("--pool-file", type=Path, help="unlabelled rows of another domain")
    parser.add_argument("--workdir", type=Path, required=True, help="where the runs are kept")
    parser.add_argument("--sizes", default="50,200,1000", help="of the labelled rows")
    parser.add_argument("--pool", type=int, default=2000, help="rows without labels")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("overrides", nargs="*")
    args = parser.parse_intermixed_args()
    print(
        "| labelled | method | test | difference from supervised |\n|---|---|---|---|", flush=True
    )
    for size in map(int, args.sizes.split(",")):
        found: dict[str, list[float]] = {}
        for method in args.methods.split(","):
            scores = [score(args, size, method, int(seed)) for seed in args.seeds.split(",")]
            found[method] = scores
            against = difference(scores, found.get("supervised", scores))
            print(f"| {size} | {method} | {spread(scores)} | {against} |", flush=True)


def score(args: argparse.Namespace, size: int, method: str, seed: int) -> float:
    """The score on test of one run."""
    run = args.workdir / f"{size}-{method}-{seed}"
    if not (run / "results.json").exists():
        files = draw(args, size, seed, labels_of_pool=method == "all")
        given = [f"data.{name}={path}" for name, path in files.items() if name != "unlabelled"]
        if method not in ("supervised", "all"):
            given.append(f"data.unlabelled={files['unlabelled']}")
        code = bertjax(
            [
                *("finetune", "--config", args.config, "--init", str(args.directory)),
                *("--workdir", str(run), f"tune.seeds={seed}", f"data.test={args.test}"),
                *(*given, *METHODS[method], *args.overrides),
            ]
        )
        if code:
            sys.exit(code)
    results = json.loads((run / "results.json").read_text())
    return results["splits"]["test"]["models"][results["metric"]]["mean"]


def draw(args: argparse.Namespace, size: int, seed: int, labels_of_pool: bool) -> dict[str, Path]:
    """Write the files of a seed: train, dev and unlabelled, by name."""
    header, rows = read(args.rows)
    needed = size + DEV + (0 if args.pool_file else args.pool)
    if len(rows) < needed:
        raise UserError(f"--rows {args.rows}: {len(rows):,} rows, and {needed:,} are needed")
    random.Random(seed).shuffle(rows)
    train, dev, pool = rows[:size], rows[size : size + DEV], rows[size + DEV : needed]
    if args.pool_file:
        pool = read(args.pool_file)[1]
        random.Random(seed).shuffle(pool)
        pool = pool[: args.pool]
    parts = {"train": [*train, *pool] if labels_of_pool else train, "dev": dev, "unlabelled": pool}
    folder = args.workdir / "rows"
    folder.mkdir(parents=True, exist_ok=True)
    found = {}
    for name, part in parts.items():
        path = folder / f"{size}-{seed}-{name}-{labels_of_pool:d}{args.rows.suffix}"
        path.write_text(header + "".join(part), encoding="utf-8")
        found[name] = path
    return found


def read(path: Path) -> tuple[str, list[str]]:
    """The header of a table and its rows, or the sentences of CoNLL."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".tsv":
        header, *rows = text.splitlines(keepends=True)
        return header, rows
    return "", [block.strip("\n") + "\n\n" for block in text.split("\n\n") if block.strip()]


def spread(scores: list[float]) -> str:
    noise = f" ± {statistics.stdev(scores):.4f}" if len(scores) > 1 else ""
    return f"{statistics.fmean(scores):.4f}{noise}"


def difference(scores: list[float], others: list[float]) -> str:
    gaps = [a - b for a, b in zip(scores, others, strict=True)]
    if len(gaps) < 2 or scores is others:
        return ""
    half = stats.t.ppf(0.975, len(gaps) - 1) * statistics.stdev(gaps) / len(gaps) ** 0.5
    return f"{statistics.fmean(gaps):+.4f} ± {half:.4f}"


if __name__ == "__main__":
    sys.exit(in_one_line("unlabelled_rows.py", main))
