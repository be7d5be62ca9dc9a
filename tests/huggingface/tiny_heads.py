"""A head of each family on a small encoder of each system, and rows for them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import oracle_transformers as oracle
import torch
from family import FAMILY

from bertjax import huggingface
from bertjax.config import HeadConfig, ModelConfig
from bertjax.model.task import TaskShape, abstract_task_params
from bertjax.tree import path_name

B, T, PAD = oracle.B, oracle.T, 0
CLASSES = TaskShape("classification", 3)
LABELS = ("bad", "neither", "good")
SHAPES = {
    "classification": (CLASSES, LABELS),
    "multi_label": (TaskShape("multi_label", 3), LABELS),
    "regression": (TaskShape("regression", 1), ("score",)),
    "tagging": (TaskShape("tagging", 3), ("O", "B-PER", "I-PER")),
    "span_qa": (TaskShape("span_qa", 2), ()),
    "multiple_choice": (TaskShape("multiple_choice", B), ()),
}
ROBERTA = {"family": "roberta", "position_offset": PAD + 1}
ENCODERS = {
    "bert": {"activation": "gelu_tanh"},
    "roberta": ROBERTA | {"activation": "gelu_tanh", "head_activation": "gelu"},
    "pre-norm": ROBERTA | {"norm": "pre"},
    "eurobert-late": FAMILY["eurobert"],
    "eurobert-mean": FAMILY["eurobert"],
} | FAMILY
POOLINGS = {"eurobert-late": "late", "eurobert-mean": "pooled_mean"}
HEAD = HeadConfig(dropout=0.25)


def head_of(kind: str) -> HeadConfig:
    """That of the class: where attention is causal, the last token's and without a bias."""
    causal = ENCODERS[kind].get("attention") == "causal"
    pooling = "last" if causal else POOLINGS.get(kind, "cls")
    return replace(HEAD, pooling=pooling, bias=not causal)


def encoder(kind: str, **fixed: Any) -> ModelConfig:
    fields = {**ENCODERS[kind], "next_sentence_head": False, **fixed}
    return oracle.random_config(3, **fields)  # one layer


def task_batch(cfg: ModelConfig, shape: TaskShape) -> dict[str, np.ndarray]:
    """A batch with targets; of tagging, every real token is a word."""
    draw, batch = np.random.default_rng(7), oracle.random_batch(cfg, PAD, 1)
    real = batch["segments"] > 0
    batch["example_weights"] = np.ones(B, np.float32)
    if shape.family == "tagging":
        batch["word_positions"] = np.where(real, np.arange(T), -1).astype(np.int32)
        batch["tags"] = np.where(real, draw.integers(0, 3, (B, T)), -1).astype(np.int32)
    elif shape.family == "span_qa":
        batch["span"] = np.array([[0, 0], [1, 4], [2, 2]], np.int32)
    elif shape.family == "multi_label":
        batch["label"] = draw.integers(0, 2, (B, 3)).astype(np.int32)
    elif shape.family == "regression":
        batch["label"] = draw.normal(0, 1, B).astype(np.float32)
    else:
        batch["label"] = draw.integers(0, 3, B).astype(np.int32)
        if shape.family == "multiple_choice":
            batch["label"][:] = 1
    return batch


def their_logits(outputs: Any, shape: TaskShape) -> Any:
    if shape.family == "span_qa":
        return torch.stack([outputs.start_logits, outputs.end_logits], -1)
    return outputs.logits.reshape(-1, 1) if shape.family == "multiple_choice" else outputs.logits


def random_params(cfg: ModelConfig, head: HeadConfig, shape: TaskShape) -> dict:
    draw = np.random.default_rng(5)

    def leaf(path, like):
        values = draw.normal(0, 0.3, like.shape) + (path[-1].key == "scale")
        if path_name(path) == "embeddings/word_embeddings/embedding":
            values[oracle.is_silent(cfg, len(values))] = 0
        return np.asarray(values, np.float32)

    return jax.tree_util.tree_map_with_path(leaf, abstract_task_params(cfg, head, shape))


def export(cfg, head, shape, labels, params, out: Path) -> Path:
    tokenizer = oracle.tiny_tokenizer(cfg.vocab_size, PAD, out.parent)
    report = huggingface.export_task_model(
        cfg, head, shape, labels, params, tokenizer, out, oracle.CARD, oracle.LINES
    )
    assert report.path == out and report.lines == len(oracle.LINES)
    return out
