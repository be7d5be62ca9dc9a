"""Fine-tune the same checkpoint here and with transformers + PyTorch: scores and seconds.

    python benchmarks/finetune.py HF_DIR --config configs/finetune/sst2.py [key=value ...]

Both train on the same rows in the same batches from the same weights (the head's too), with the
same optimizer, schedule, clipping and dropout rates; PyTorch pads each batch to its own longest
row, which costs it nothing. Seeds alternate between the two in one run. The bar: the mean within
one standard deviation of theirs, and fewer seconds an epoch.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import jax
import numpy as np
import torch
import transformers

from bertjax import sharding
from bertjax.cli.main import in_one_line
from bertjax.cli.memory import keep_freed_memory
from bertjax.config import FinetuneConfig, MeshConfig
from bertjax.finetune import parameters
from bertjax.finetune.batches import evaluation_plan, row_indices, training_plan
from bertjax.finetune.inference import Predictor
from bertjax.finetune.material import Material
from bertjax.finetune.member import Member, Training
from bertjax.finetune.settle import adopt_encoder, settle, task_shape
from bertjax.finetune.splits import open_splits
from bertjax.finetune.step import make_predict, make_steps
from bertjax.optim.schedules import learning_rate
from bertjax.overrides import apply_overrides, load_config
from bertjax.pretrained import open_pretrained
from bertjax.runs.outcome import never
from bertjax.tasks.task import Rows
from bertjax.terminal import Terminal

CLASSES = {
    "classification": transformers.BertForSequenceClassification,
    "regression": transformers.BertForSequenceClassification,
    "tagging": transformers.BertForTokenClassification,
    "span_qa": transformers.BertForQuestionAnswering,
}


class TorchModel:
    """One of transformers' classes, trained on our rows."""

    def __init__(self, directory: Path, cfg: FinetuneConfig, shape, head: dict, total: int, seed):
        torch.manual_seed(seed)
        self.cfg, self.family = cfg, cfg.task.family
        options = {} if self.family == "span_qa" else {"num_labels": shape.classes}
        self.model = CLASSES[self.family].from_pretrained(
            directory,
            hidden_dropout_prob=cfg.model.hidden_dropout,
            attention_probs_dropout_prob=cfg.model.attention_dropout,
            **options,
        )
        layer = getattr(self.model, "qa_outputs", None) or self.model.classifier
        with torch.no_grad():
            layer.weight.copy_(torch.tensor(head["kernel"].T))
            layer.bias.copy_(torch.tensor(head["bias"]))
        named = list(self.model.named_parameters())
        groups = [
            {"params": [p for _, p in named if p.ndim > 1], "weight_decay": cfg.optim.weight_decay},
            {"params": [p for _, p in named if p.ndim == 1], "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(
            groups,
            lr=cfg.optim.learning_rate,
            betas=(cfg.optim.b1, cfg.optim.b2),
            eps=cfg.optim.eps,
            fused=True,  # as transformers' own trainer has it
        )
        shares = np.asarray(learning_rate(cfg.optim, total)(np.arange(total + 1)))
        shares = (shares / cfg.optim.learning_rate).tolist()
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, shares.__getitem__)

    def logits(self, rows: Rows, indices: np.ndarray) -> torch.Tensor:
        longest = max(len(rows.tokens[i]) for i in indices)
        fields = {"input_ids": rows.tokens, "token_type_ids": rows.token_types}
        batch = {
            name: torch.tensor(np.stack([_pad(arrays[i], longest, 0) for i in indices])).long()
            for name, arrays in fields.items()
        }
        lengths = torch.tensor([len(rows.tokens[i]) for i in indices])
        batch["attention_mask"] = (torch.arange(longest) < lengths[:, None]).long()
        outputs = self.model(**batch)
        if self.family == "span_qa":
            return torch.stack([outputs.start_logits, outputs.end_logits], -1)
        return outputs.logits

    def loss(self, rows: Rows, indices: np.ndarray) -> torch.Tensor:
        logits = self.logits(rows, indices)
        cross_entropy = torch.nn.functional.cross_entropy
        if self.family == "classification":
            return cross_entropy(logits, torch.tensor(rows.fixed["label"][indices]).long())
        if self.family == "regression":
            target = torch.tensor(rows.fixed["label"][indices])
            return torch.nn.functional.mse_loss(logits[:, 0], target)
        if self.family == "span_qa":
            spans = torch.tensor(rows.fixed["span"][indices]).long()
            return (
                cross_entropy(logits[..., 0], spans[:, 0])
                + cross_entropy(logits[..., 1], spans[:, 1])
            ) / 2
        labels = torch.full(logits.shape[:2], -100)
        for place, i in enumerate(indices):
            where = torch.tensor(rows.ragged["word_positions"][i]).long()
            labels[place, where] = torch.tensor(rows.ragged["tags"][i]).long()
        return cross_entropy(logits.flatten(0, 1), labels.flatten())

    def epoch(self, rows: Rows, plans) -> float:
        self.model.train()
        began = time.monotonic()
        for plan in plans:
            self.optimizer.zero_grad()
            self.loss(rows, row_indices(rows, plan)).backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.cfg.optim.clip_norm)
            self.optimizer.step()
            self.schedule.step()
        return time.monotonic() - began

    @torch.no_grad()
    def outputs(self, rows: Rows, plans) -> list[dict]:
        self.model.eval()
        found: list[dict] = [{} for _ in rows.tokens]
        for plan in plans:
            indices = row_indices(rows, plan)
            for row, logits in zip(indices, self.logits(rows, indices), strict=True):
                found[row] = self.output(rows, row, logits)
        return found

    def output(self, rows: Rows, row: int, logits: torch.Tensor) -> dict:
        if self.family == "span_qa":
            return {"logits": logits[: len(rows.tokens[row])].numpy()}
        if self.family == "tagging":
            where = torch.tensor(rows.ragged["word_positions"][row]).long()
            return {"probabilities": logits[where].softmax(-1).numpy()}
        if self.family == "regression":
            return {"probabilities": logits.numpy()}
        return {"probabilities": logits.softmax(-1).numpy()}


def _pad(array: np.ndarray, length: int, fill: int) -> np.ndarray:
    return np.pad(array, (0, length - len(array)), constant_values=fill)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=Path, help="Hugging Face directory of a BERT")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--out", type=Path, help="write the figures as JSON here")
    parser.add_argument("overrides", nargs="*")
    args = parser.parse_intermixed_args()
    keep_freed_memory()  # as `bertjax finetune` does; it makes no difference to PyTorch
    transformers.logging.set_verbosity_error()
    start = open_pretrained(args.directory)
    cfg = load_config(args.config, FinetuneConfig)
    cfg = apply_overrides(cfg, args.overrides, **adopt_encoder(cfg, start.cfg))
    splits = open_splits(cfg)
    cfg = settle(cfg, splits)
    material = Material(cfg, splits, start.tokenizer)
    mesh = sharding.make_mesh(MeshConfig())
    found: dict[str, list[dict]] = {"bertjax": [], "PyTorch": []}
    for seed in cfg.tune.seeds:
        with tempfile.TemporaryDirectory() as scratch, jax.set_mesh(mesh):
            found["bertjax"].append(ours(cfg, material, mesh, start, seed, Path(scratch)))
        found["PyTorch"].append(theirs(cfg, material, start, seed, args.directory))
    metric = cfg.task.metric or material.task.metrics[0]
    print(f"\n{cfg.task.name}: {len(splits.train):,} examples, {cfg.tune.epochs} epochs")
    print(f"{'':10}{metric:>18}{'first epoch s':>16}{'later epochs s':>16}")
    for name, runs in found.items():
        scores = [run[metric] for run in runs]
        spread = statistics.stdev(scores) if len(scores) > 1 else float("nan")
        first = statistics.fmean(run["seconds"][0] for run in runs)
        later = [s for run in runs for s in run["seconds"][1:]] or [float("nan")]
        print(
            f"{name:10}{statistics.fmean(scores):>9.4f} ± {spread:.4f}{first:>16.1f}"
            f"{statistics.fmean(later):>16.1f}"
        )
    if args.out:
        args.out.write_text(json.dumps({"metric": metric, "runs": found}, indent=2) + "\n")


def ours(cfg, material: Material, mesh, start, seed: int, scratch: Path) -> dict:
    shape = task_shape(cfg)
    train, dev = material.parts(None)
    steps = make_steps(cfg, shape, mesh)
    predict = make_predict(cfg, shape, mesh)
    predictor = Predictor(cfg, predict, mesh, material.tokenizer, material.lengths)
    member = Member(seed, None, scratch)
    training = Training(
        cfg, material.task, member, train, dev, predictor, steps, Terminal(speaks=False)
    )
    initial, _ = parameters.initial_parameters(cfg, shape, start.params, seed)
    training.run(initial, never)
    last = training.history[-1]["dev"]
    seconds = [entry["seconds"] for entry in training.history]
    print(f"bertjax  seed {seed}: {last} {[round(s, 1) for s in seconds]}", flush=True)
    return {**last, "seconds": seconds}


def theirs(cfg, material: Material, start, seed: int, directory: Path) -> dict:
    shape = task_shape(cfg)
    train, dev = material.parts(None)
    head = parameters.initial_parameters(cfg, shape, start.params, seed)[0]["head"]["classifier"]
    plan = [
        training_plan(train.rows, material.lengths, cfg.tune.batch_size, seed, epoch)
        for epoch in range(cfg.tune.epochs)
    ]
    model = TorchModel(directory, cfg, shape, head, sum(map(len, plan)), seed)
    seconds = [model.epoch(train.rows, plans) for plans in plan]
    plans = evaluation_plan(dev.rows, material.lengths, cfg.tune.evaluation_batch_size)
    scores = material.task.merge(dev.rows, model.outputs(dev.rows, plans))
    found = material.task.score(dev.examples, scores)
    numbers = {name: v for name, v in found.items() if isinstance(v, float)}
    print(f"PyTorch  seed {seed}: {numbers} {[round(s, 1) for s in seconds]}", flush=True)
    return {**numbers, "seconds": seconds}


if __name__ == "__main__":
    sys.exit(in_one_line("finetune.py", main))
