"""The encoder and its heads in float64 NumPy, one row and one head at a time.

Written from Devlin et al. 2019 (post-norm) and Xiong et al. 2020 (pre-norm, with a last norm). It
shares nothing with the package but the names of parameters.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import erf

from bertjax.config import ModelConfig


def _linear(p: dict, x: np.ndarray) -> np.ndarray:
    return x @ p["kernel"] + p["bias"]


def _norm(cfg: ModelConfig, p: dict, x: np.ndarray) -> np.ndarray:
    centred = x - x.mean(-1, keepdims=True)
    deviation = np.sqrt((centred**2).mean(-1, keepdims=True) + cfg.layer_norm_eps)
    return centred / deviation * p["scale"] + p["bias"]


def _activate(name: str, x: np.ndarray) -> np.ndarray:
    if name == "relu":
        return np.maximum(x, 0)
    if name == "gelu_tanh":
        return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    return 0.5 * x * (1 + erf(x / np.sqrt(2)))


def _attend(cfg: ModelConfig, p: dict, x: np.ndarray, segments: np.ndarray) -> np.ndarray:
    """Every real token over the real tokens of its own segment; nothing for padding."""
    query, key, value = (_linear(p[name], x) for name in ("query", "key", "value"))
    mixed = np.zeros_like(x)
    for head in range(cfg.num_heads):
        part = slice(head * cfg.head_size, (head + 1) * cfg.head_size)
        for token in np.flatnonzero(segments):
            seen = segments == segments[token]
            scores = key[seen, part] @ query[token, part] / np.sqrt(cfg.head_size)
            weights = np.exp(scores - scores.max())
            mixed[token, part] = weights / weights.sum() @ value[seen, part]
    return _linear(p["output"], mixed)


def _row(cfg: ModelConfig, p: dict, row: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    tables = p["embeddings"]
    x = (
        tables["word_embeddings"]["embedding"][row["tokens"]]
        + tables["position_embeddings"]["embedding"][row["positions"] + cfg.position_offset]
        + tables["token_type_embeddings"]["embedding"][row["token_types"]]
    )
    x = _norm(cfg, tables["norm"], x)
    for i in range(cfg.num_layers):
        block = p[f"layer_{i}"]

        def forward(x, block=block):
            inside = _activate(cfg.activation, _linear(block["feed_forward"]["intermediate"], x))
            return _linear(block["feed_forward"]["output"], inside)

        def attend(x, block=block):
            return _attend(cfg, block["attention"], x, row["segments"])

        for branch, norm in ((attend, "attention_norm"), (forward, "feed_forward_norm")):
            if cfg.norm == "pre":
                x = x + branch(_norm(cfg, block[norm], x))
            else:
                x = _norm(cfg, block[norm], x + branch(x))
    if cfg.norm == "pre":
        x = _norm(cfg, p["final_norm"], x)
    head = p["masked_lm"]
    of_head = cfg.head_activation or cfg.activation
    picked = _activate(of_head, _linear(head["transform"], x[row["predict_positions"]]))
    picked = _norm(cfg, head["norm"], picked)
    logits = picked @ tables["word_embeddings"]["embedding"].T + head["bias"]
    pooled = np.tanh(_linear(p["pooler"]["dense"], x[row["cls_positions"]]))
    return {
        "hidden": x,
        "masked_lm_logits": logits[:, : cfg.vocab_size],
        "next_sentence_logits": _linear(p["next_sentence"]["classifier"], pooled),
    }


def encode(cfg: ModelConfig, params: Any, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What `model.apply` returns, without the padded ids."""

    def widen(tree):
        if isinstance(tree, dict):
            return {name: widen(branch) for name, branch in tree.items()}
        return np.asarray(tree, np.float64)

    wide, count = widen(params), len(batch["tokens"])
    rows = [_row(cfg, wide, {k: v[i] for k, v in batch.items()}) for i in range(count)]
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}
