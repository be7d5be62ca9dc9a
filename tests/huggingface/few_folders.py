"""Folders of few weights with random ones, and what other libraries compute from them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jax
import numpy as np
import oracle_transformers as oracle
import tiny_heads as heads
import torch

from bertjax import huggingface
from bertjax.model.task import abstract_task_params, apply_task
from bertjax.tree import flatten, path_name, unflatten


def random_params(cfg, head, shape, method) -> dict:
    draw = np.random.default_rng(5)
    wanted = abstract_task_params(cfg, head, shape, method)

    def leaf(path, like):
        values = draw.normal(0, 0.3, like.shape) + (path[-1].key == "scale")
        if path_name(path) == "embeddings/word_embeddings/embedding":
            values[oracle.is_silent(cfg, len(values))] = 0
        return np.asarray(values, np.float32)

    return jax.tree_util.tree_map_with_path(leaf, wanted)


def write_both(kind: str, family: str, method: Any, export: Any, folder: Path, *, pooler=True):
    """An encoder, and a folder with what was trained on it; returns both, and our logits.

    `export` writes weights of `method`: peft's folder or that of `adapters`.
    """
    (shape, labels), cfg, head = heads.SHAPES[family], heads.encoder(kind), heads.head_of(kind)
    params, batch = random_params(cfg, head, shape, method), heads.task_batch(cfg, shape)
    leaves, base = flatten(params), folder / "base"
    plain = flatten(abstract_task_params(cfg, head, shape))
    below = {p: x for p, x in leaves.items() if p in plain and not p.startswith("head/")}
    if not pooler:
        below = {path: leaf for path, leaf in below.items() if not path.startswith("pooler/")}
    tokenizer = oracle.tiny_tokenizer(cfg.vocab_size, heads.PAD, folder)
    huggingface.export_encoder(cfg, unflatten(below), tokenizer, base, oracle.CARD, oracle.LINES)
    imported = huggingface.import_model(base)
    there = flatten(imported.params).keys() - set(imported.fresh)
    few = unflatten({path: leaf for path, leaf in leaves.items() if path not in there})
    report = export(cfg, head, shape, labels, few, tokenizer, folder / "few", str(base))
    assert report.parameters >= sum(leaf.size for leaf in flatten(few).values())
    logits = jax.jit(lambda p, b: apply_task(cfg, head, shape, p, b, method=method)["logits"])
    return base, folder / "few", shape, batch, np.asarray(logits(params, batch))


def run_card(folder: Path, base: Path) -> dict:
    """What the Python of a folder's card defines."""
    (code,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.S)
    code = code.replace('"FOLDER"', repr(str(folder))).replace('"base"', repr(str(base)))
    scope: dict = {}
    exec(compile(code, str(folder), "exec"), scope)
    return scope


def compare(model, shape, batch, ours) -> None:
    names = {"tokens": "input_ids", "segments": "attention_mask"}
    if getattr(model.config, "type_vocab_size", 0):
        names["token_types"] = "token_type_ids"
    given = {theirs: torch.tensor(np.asarray(batch[name])).long() for name, theirs in names.items()}
    if shape.family == "multiple_choice":
        given = {name: array[None] for name, array in given.items()}
    with torch.no_grad():
        theirs = heads.their_logits(model.eval()(**given), shape).numpy()
    real = batch["segments"] > 0 if ours.ndim == 3 else np.ones(heads.B, bool)
    np.testing.assert_allclose(ours[real], theirs[real], atol=1e-5)
    assert np.abs(ours).max() > 0.1
