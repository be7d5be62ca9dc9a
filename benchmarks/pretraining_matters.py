"""What pretraining is worth: the same model, tasks and budget from a run's weights and from random.

    python benchmarks/pretraining_matters.py RUN --seeds 0,1,2,3,4 --workdir DIR \
        --task sst2 data.train=... data.dev=... [--task ...]

Both sides see the same rows in the same order with the same new head, seed by seed; the random side
draws an encoder of its own for each seed. Printed are the mean on dev of each, and the mean of the
paired differences with its 95 % confidence interval (Student's t over seeds).
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
from dataclasses import replace
from pathlib import Path

import jax
from scipy import stats

from bertjax import model
from bertjax.cli.main import in_one_line
from bertjax.cli.memory import keep_freed_memory
from bertjax.config import FinetuneConfig
from bertjax.finetuning.material import Start
from bertjax.finetuning.run import finetune
from bertjax.finetuning.settle import adopt_encoder
from bertjax.overrides import apply_overrides
from bertjax.pretrained import Pretrained, open_pretrained
from bertjax.recipes.shipped import load_recipe


def main() -> int:
    arguments = list(sys.argv[1:])
    shared, *tasks = [
        list(group)
        for is_mark, group in itertools.groupby(arguments, lambda item: item == "--task")
        if not is_mark
    ]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--workdir", type=Path, required=True)
    parser.add_argument("--seeds", default="0,1,2,3,4")
    args = parser.parse_args(shared)
    seeds = [int(seed) for seed in args.seeds.split(",")]
    keep_freed_memory()
    initial = open_pretrained(args.run)
    lines = []
    for config, *overrides in tasks:
        cfg = load_recipe(config, FinetuneConfig)
        cfg = apply_overrides(cfg, overrides, **adopt_encoder(cfg, initial.cfg))
        found = {"pretrained": [], "random": []}
        for side, seed in itertools.product(found, seeds):
            directory = args.workdir / f"{cfg.task.name}-{side}-{seed}"
            found[side].append(score(cfg, directory, initial, side, seed))
        lines.append(compare(cfg.task.name, found))
        (args.workdir / "found.json").write_text(json.dumps(lines, indent=2) + "\n")
    print("\n| task | metric | pretrained | random weights | gap, 95 % interval |")
    print("|---|---|---|---|---|")
    for line in lines:
        print(
            f"| {line['task']} | {line['metric']} | {line['pretrained']:.3f} | "
            f"{line['random']:.3f} | {line['gap']:+.3f} ± {line['half_width']:.3f} |"
        )
    return 0


def score(cfg: FinetuneConfig, directory: Path, initial: Pretrained, side: str, seed: int):
    """The task's metric and its value on dev of one model; a finished run is read, not repeated."""
    params = initial.params
    if side == "random":
        params = jax.jit(lambda: model.init(initial.cfg, jax.random.key(1000 + seed)))()
    cfg = replace(cfg, tune=replace(cfg.tune, seeds=(seed,)))
    if not (directory / "results.json").exists():
        finetune(cfg, directory, Start(side, params, initial.tokenizer))
    results = json.loads((directory / "results.json").read_text())
    return results["metric"], results["models"][0]["dev"][results["metric"]]


def compare(task: str, found: dict) -> dict:
    """Means of both sides and the paired gap with its confidence interval."""
    values = {side: [value for _, value in pairs] for side, pairs in found.items()}
    gaps = [a - b for a, b in zip(values["pretrained"], values["random"], strict=True)]
    n = len(gaps)
    half = stats.t.ppf(0.975, n - 1) * statistics.stdev(gaps) / n**0.5
    return {
        "task": task,
        "metric": found["random"][0][0],
        "values": values,
        "pretrained": statistics.fmean(values["pretrained"]),
        "random": statistics.fmean(values["random"]),
        "gap": statistics.fmean(gaps),
        "half_width": half,
    }


if __name__ == "__main__":
    sys.exit(in_one_line("pretraining_matters.py", main))
