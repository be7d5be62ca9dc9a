"""Model FLOPs of a training step, for utilisation that compares with the literature.

Training FLOPs per token = 6·N + 12·L·D·S + p·(6·D² + 6·D·V): N non-embedding parameters of the
blocks, L layers, S keys a token attends to on average, p share of predicted positions. Only real
tokens and real pieces count, never padding, of rows or of the vocabulary (Kaplan et al. 2020,
section 2.1, with the head on p·T positions).
"""

from __future__ import annotations

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


def training_flops(cfg: ModelConfig, tokens: float, attended: float, predicted: float) -> float:
    """FLOPs of forward and backward.

    Args:
        cfg: the architecture.
        tokens: real tokens.
        attended: over all tokens, how many keys each one attends to, summed.
        predicted: predicted positions.
    """
    D, F, L = cfg.hidden_size, cfg.intermediate_size, cfg.num_layers
    blocks = L * (4 * D * D + 2 * D * F)
    head = 6 * D * D + 6 * D * cfg.vocab_size
    return 6 * blocks * tokens + 12 * L * D * attended + head * predicted


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
