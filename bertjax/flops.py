"""Model FLOPs of a training step, for utilisation that compares with the literature.

Training FLOPs per token = 6·N + 12·L·W·S + p·(6·D·E + 6·E·V): N non-embedding parameters of the
blocks and of the projection of the embeddings, L layers of inner width W, S keys a token attends to
on average, p share of predicted positions, E width of the transform. Only real tokens and real
pieces count, never padding, of rows or of the vocabulary (Kaplan et al. 2020, section 2.1, with the
head on p·T positions). Gated feed-forwards have a third matrix. A head of replaced tokens stands on
every token: 6·D² + 6·D.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bertjax.config import ModelConfig

# Dense bf16 peak of one device in FLOP/s, by the vendor's data sheet and JAX's device_kind.
PEAK_FLOPS = {
    "NVIDIA A100": 312e12,
    "NVIDIA H100": 989e12,
    "NVIDIA H200": 989e12,
    "TPU v4": 275e12,
    "TPU v5 lite": 197e12,
    "TPU v5": 459e12,
    "TPU v6 lite": 918e12,
}


def training_flops(
    networks: Sequence[ModelConfig], tokens: float, attended: float, predicted: float
) -> float:
    """FLOPs of forward and backward of all networks of a step.

    Args:
        networks: each sees every token.
        tokens: real tokens.
        attended: over all tokens, how many tokens its segment has, summed: `attended_keys`.
        predicted: positions with logits over the vocabulary.
    """
    return sum(_of_network(cfg, tokens, attended, predicted) for cfg in networks)


def _of_network(cfg: ModelConfig, tokens: float, attended: float, predicted: float) -> float:
    D, E, W, L = cfg.hidden_size, cfg.transform_size, cfg.inner_size, cfg.num_layers
    projected = cfg.table_size * (3 if cfg.trigram else 1)
    projection = projected * D if cfg.embedding_size else 0
    blocks = L * cfg.layer_size
    scores = sum(12 * W * _seen(spec.window, tokens, attended) for spec in cfg.layer_specs)
    if cfg.replaced_token_head:
        head = 6 * (D * D + D) * tokens
    else:
        transform = D * E if cfg.head_transform else 0
        head = 6 * (transform + E * cfg.vocab_size) * predicted
    return 6 * (blocks + projection) * tokens + scores + head


def _seen(window: tuple[int | None, int | None] | None, tokens: float, attended: float) -> float:
    """Keys that a layer's queries see; near the ends of a segment a window counts whole."""
    if window is None:
        return attended
    left, right = window
    if left is None or right is None:  # a token and those to one side
        return (attended + tokens) / 2
    return min(attended, (left + 1 + right) * tokens)


def attended_keys(segments: np.ndarray) -> int:
    """Sum over real tokens of the keys each attends to: Σ length² over all segments.

    segments: int [B, T], 0 is padding.
    """
    rows = len(segments)
    ids = segments + np.arange(rows)[:, None] * (int(segments.max(initial=0)) + 1)
    lengths = np.bincount(ids[segments != 0])
    return int((lengths.astype(np.int64) ** 2).sum())


def peak_flops(device_kind: str) -> float | None:
    """Peak of one device, or None where no data sheet applies (CPUs)."""
    names = [name for name in PEAK_FLOPS if device_kind.startswith(name)]
    return PEAK_FLOPS[max(names, key=len)] if names else None
