"""Fine-tune with transformers and PyTorch, as a person would: what our command is compared with.

    python benchmarks/finetune_pytorch.py HF_DIR OUT --config sst2 [key=value]

It reads the same files by the same config into the same rows, without JAX. Rows of like length
make a batch (transformers' `group_by_length`), which is padded to its longest. The model is
evaluated and saved after each epoch.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import transformers

from bertjax.cli.main import in_one_line
from bertjax.config import FinetuneConfig
from bertjax.errors import UserError
from bertjax.finetuning.splits import open_splits
from bertjax.overrides import apply_overrides
from bertjax.recipes.shipped import load_recipe
from bertjax.tasks.families import task_of
from bertjax.tasks.task import Rows, Task
from bertjax.text.tokenizer import load_tokenizer

CLASSES = {
    "classification": transformers.BertForSequenceClassification,
    "regression": transformers.BertForSequenceClassification,
    "tagging": transformers.BertForTokenClassification,
    "span_qa": transformers.BertForQuestionAnswering,
}
POOL = 50  # batches whose rows are sorted together, as in transformers' LengthGroupedSampler


def like_lengths(rows: Rows, size: int, seed: int) -> list[np.ndarray]:
    """Batches of one epoch: rows of like length together, in random order."""
    draw = np.random.default_rng(seed)
    lengths = np.array([len(tokens) for tokens in rows.tokens])
    order = draw.permutation(len(lengths))
    batches = []
    for pool in np.split(order, range(size * POOL, len(order), size * POOL)):
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        batches += np.split(pool, range(size, len(pool), size))
    return [batches[i] for i in draw.permutation(len(batches))]


class TorchModel:
    """One of transformers' classes, trained on our rows."""

    def __init__(self, directory: Path, cfg: FinetuneConfig, total: int, seed: int):
        if cfg.task.family == "span_qa" and cfg.head.dropout:
            raise UserError(
                f"head.dropout={cfg.head.dropout} with task.family=span_qa: the class of "
                "transformers has none there; compare with head.dropout=0"
            )
        torch.manual_seed(seed)
        self.cfg, self.family = cfg, cfg.task.family
        classes = 1 if self.family == "regression" else len(cfg.task.labels)
        options = {} if self.family == "span_qa" else {"num_labels": classes}
        self.model = CLASSES[self.family].from_pretrained(
            directory,
            hidden_dropout_prob=cfg.model.hidden_dropout,
            attention_probs_dropout_prob=cfg.model.attention_dropout,
            classifier_dropout=cfg.head.dropout,
            **options,
        )
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
        last = max(1, total - 1)  # the linear schedule of bertjax.optim.schedules
        warmup = min(round(cfg.optim.warmup_fraction * total), last - 1)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer,
            lambda s: (s + 1) / warmup if s < warmup else (last - s) / (last - warmup),
        )

    def set_head(self, kernel: np.ndarray, bias: np.ndarray) -> None:
        """Begin with the head of ours."""
        layer = getattr(self.model, "qa_outputs", None) or self.model.classifier
        with torch.no_grad():
            layer.weight.copy_(torch.tensor(kernel.T))
            layer.bias.copy_(torch.tensor(bias))

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

    def epoch(self, rows: Rows, batches: list[np.ndarray]) -> None:
        self.model.train()
        for indices in batches:
            self.optimizer.zero_grad()
            self.loss(rows, indices).backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.cfg.optim.clip_norm)
            self.optimizer.step()
            self.schedule.step()

    @torch.no_grad()
    def outputs(self, rows: Rows, size: int) -> list[dict]:
        """What the model says of every row, in batches of rows of like length."""
        self.model.eval()
        found: list[dict] = [{} for _ in rows.tokens]
        order = np.argsort([len(tokens) for tokens in rows.tokens], kind="stable")
        for indices in np.split(order, range(size, len(order), size)):
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
    parser.add_argument("out", type=Path, help="directory for the trained model")
    parser.add_argument("--config", required=True)
    parser.add_argument("overrides", nargs="*")
    args = parser.parse_intermixed_args()
    transformers.logging.set_verbosity_error()
    cfg = apply_overrides(load_recipe(args.config, FinetuneConfig), args.overrides)
    splits = open_splits(cfg)
    cfg = replace(cfg, task=replace(cfg.task, labels=splits.labels))
    tokenizer = load_tokenizer(args.directory / "tokenizer.json")
    task: Task = task_of(cfg, splits.labels)
    train, dev = (task.encode(part, tokenizer) for part in (splits.train, splits.dev))
    size, seed = cfg.tune.batch_size, cfg.tune.seeds[0]
    per_epoch = len(like_lengths(train, size, 0))
    model = TorchModel(args.directory, cfg, per_epoch * cfg.tune.epochs, seed)
    for epoch in range(cfg.tune.epochs):
        began, busy = time.monotonic(), time.process_time()
        model.epoch(train, like_lengths(train, size, epoch))
        scores = task.merge(dev, model.outputs(dev, cfg.tune.evaluation_batch_size))
        value = task.score(splits.dev, scores)[task.metrics[0]]
        model.model.save_pretrained(args.out)
        took, busy = time.monotonic() - began, time.process_time() - busy
        print(f"epoch {epoch + 1} · {value:.4f} · {took:.1f} s, {busy:.1f} s of CPU", flush=True)


if __name__ == "__main__":
    sys.exit(in_one_line("finetune_pytorch.py", main))
