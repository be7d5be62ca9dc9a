"""Fine-tune the same checkpoint here and with transformers + PyTorch: scores and seconds.

    python benchmarks/finetune.py HF_DIR --config sst2 [key=value ...]

Both train on the same rows from the same weights (the head's too), with the same optimizer,
schedule, clipping and dropout rates. PyTorch's batches are of rows of like length, each padded to
its longest, which costs it nothing; ours are those of the product. Seeds alternate between the two
in one run. Seconds are of training alone, CPU seconds with the evaluation on dev after each epoch.
The first epoch holds what is compiled, the later ones compile nothing. What other processes take of
the cores is watched before and during every run: PyTorch's threads wait by spinning and lose far
more to a neighbour than XLA's. On a busy machine there are no figures unless --busy asks for them.
The bar: the mean within one standard deviation of theirs, and at most 0.9 of their later epochs.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import jax
import transformers
from finetune_pytorch import TorchModel, like_lengths
from quiet import MOST, Others, require_quiet

from bertjax import sharding
from bertjax.cli.main import in_one_line
from bertjax.cli.memory import keep_freed_memory
from bertjax.config import FinetuneConfig, MeshConfig
from bertjax.finetuning import parameters
from bertjax.finetuning.inference import Predictor
from bertjax.finetuning.material import Material
from bertjax.finetuning.member import Member, Training
from bertjax.finetuning.progress import Progress
from bertjax.finetuning.settle import adopt_encoder, settle, task_shape
from bertjax.finetuning.splits import open_splits
from bertjax.finetuning.step import make_predict, make_steps
from bertjax.overrides import apply_overrides
from bertjax.pretrained import open_pretrained
from bertjax.recipes.shipped import load_recipe
from bertjax.terminal import Terminal


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=Path, help="Hugging Face directory of a BERT")
    parser.add_argument("--config", required=True)
    parser.add_argument("--out", type=Path, help="write the figures as JSON here")
    parser.add_argument("--busy", action="store_true", help="whatever else the machine does")
    parser.add_argument("overrides", nargs="*")
    args = parser.parse_intermixed_args()
    if not args.busy:
        require_quiet()
    keep_freed_memory()  # as `bertjax finetune` does; it makes no difference to PyTorch
    transformers.logging.set_verbosity_error()
    start = open_pretrained(args.directory)
    cfg = load_recipe(args.config, FinetuneConfig)
    cfg = apply_overrides(cfg, args.overrides, **adopt_encoder(cfg, start.cfg))
    splits = open_splits(cfg)
    cfg = settle(cfg, splits)
    mesh = sharding.make_mesh(MeshConfig())
    material = Material(cfg, splits, start.tokenizer, mesh.size)
    found: dict[str, list[dict]] = {"bertjax": [], "PyTorch": []}
    for seed in cfg.tune.seeds:
        with tempfile.TemporaryDirectory() as scratch, jax.set_mesh(mesh):
            others = Others()
            found["bertjax"].append(ours(cfg, material, mesh, start, seed, Path(scratch)))
            found["bertjax"][-1]["cores_of_others"] = others.cores()
        others = Others()
        found["PyTorch"].append(theirs(cfg, material, start, seed, args.directory))
        found["PyTorch"][-1]["cores_of_others"] = others.cores()
    metric = cfg.task.metric or material.task.metrics[0]
    print(f"\n{cfg.task.name}: {len(splits.train):,} examples, {cfg.tune.epochs} epochs")
    print(f"{'':10}{metric:>18}{'first epoch s':>16}{'later epochs s':>16}{'their CPU s':>14}")
    for name, runs in found.items():
        scores = [run[metric] for run in runs]
        spread = statistics.stdev(scores) if len(scores) > 1 else float("nan")
        first = statistics.fmean(run["seconds"][0] for run in runs)
        later, busy = (
            statistics.fmean([s for run in runs for s in run[key][1:]] or [float("nan")])
            for key in ("seconds", "cpu_seconds")
        )
        print(
            f"{name:10}{statistics.fmean(scores):>9.4f} ± {spread:.4f}{first:>16.1f}"
            f"{later:>16.1f}{busy:>14.1f}"
        )
    most = max(run["cores_of_others"] for runs in found.values() for run in runs)
    print(f"other processes took {most:.2f} cores at most")
    if most > MOST and not args.busy:
        sys.exit(f"that is more than {MOST}: no figures for publication; run it again")
    if args.out:
        args.out.write_text(json.dumps({"metric": metric, "runs": found}, indent=2) + "\n")


def ours(cfg, material: Material, mesh, start, seed: int, scratch: Path) -> dict:
    shape = task_shape(cfg)
    train, dev = material.parts(None)
    predict = make_predict(cfg, shape, mesh)
    predictor = Predictor(cfg, predict, mesh, material.tokenizer, material.evaluation_forms)
    training = Training(
        cfg,
        material.task,
        Member(seed, None, scratch),
        train,
        dev,
        predictor,
        material.training_forms,
        make_steps(cfg, shape, mesh),
        Progress(Terminal(speaks=False)),
        material.pieces,
    )
    initial, fresh = parameters.initial_parameters(cfg, shape, start.params, seed)
    trained, kept = parameters.separate(cfg, shape, initial, fresh)
    busy = [time.process_time()]

    def at_the_end_of_an_epoch() -> None:  # asked after each step, and once more after the last
        if len(training.history) == len(busy):
            busy.append(time.process_time())

    training.run(trained, kept, at_the_end_of_an_epoch)
    last = training.history[-1]["dev"]
    seconds = [entry["seconds"] for entry in training.history]
    return report("bertjax", seed, last, seconds, busy)


def theirs(cfg, material: Material, start, seed: int, directory: Path) -> dict:
    train, dev = material.parts(None)
    head = parameters.initial_parameters(cfg, task_shape(cfg), start.params, seed)[0]["head"]
    epochs = [
        like_lengths(train.rows, cfg.tune.batch_size, seed * cfg.tune.epochs + epoch)
        for epoch in range(cfg.tune.epochs)
    ]
    model = TorchModel(directory, cfg, sum(map(len, epochs)), seed)
    model.set_head(head["classifier"]["kernel"], head["classifier"]["bias"])
    seconds, busy = [], [time.process_time()]
    for batches in epochs:
        began = time.monotonic()
        model.epoch(train.rows, batches)
        seconds.append(time.monotonic() - began)
        outputs = model.outputs(dev.rows, cfg.tune.evaluation_batch_size)
        busy.append(time.process_time())
    found = material.task.score(dev.examples, material.task.merge(dev.rows, outputs))
    numbers = {name: v for name, v in found.items() if isinstance(v, float)}
    return report("PyTorch", seed, numbers, seconds, busy)


def report(name: str, seed: int, numbers: dict, seconds: list, busy: list) -> dict:
    cpu = [b - a for a, b in itertools.pairwise(busy)]
    shown = " ".join(f"{s:.1f} ({c:.1f})" for s, c in zip(seconds, cpu, strict=True))
    print(f"{name:8} seed {seed}: {numbers} {shown}", flush=True)
    return {**numbers, "seconds": seconds, "cpu_seconds": cpu}


if __name__ == "__main__":
    sys.exit(in_one_line("finetune.py", main))
