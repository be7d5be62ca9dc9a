"""Attention as plain array operations: what every kernel is compared with."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array


def allowed(
    segments_BT: Array | None, window: tuple[int, int] | None, seq_len: int
) -> Array | None:
    """Which keys a query sees: bool, broadcastable to [B, N, T, T]; None if all of them."""
    mask = None
    if segments_BT is not None:
        same_BTT = segments_BT[:, :, None] == segments_BT[:, None, :]
        mask = (same_BTT & (segments_BT != 0)[:, None, :])[:, None]
    if window is not None:
        left, right = window
        ahead_TT = jnp.arange(seq_len)[None, :] - jnp.arange(seq_len)[:, None]
        near_TT = (ahead_TT >= -left) & (ahead_TT <= right)
        mask = near_TT if mask is None else mask & near_TT
    return mask


def reference(
    q_BTNH: Array,
    k_BTNH: Array,
    v_BTNH: Array,
    segments_BT: Array | None,
    window: tuple[int, int] | None,
    dropout_rate: float,
    key: Array | None,
) -> Array:
    """`interface.attend` with products in the given dtype and the softmax in float32."""
    scale = q_BTNH.shape[-1] ** -0.5
    scores_BNTS = jnp.einsum(
        "BTNH,BSNH->BNTS", q_BTNH * scale, k_BTNH, preferred_element_type=jnp.float32
    )
    mask = allowed(segments_BT, window, q_BTNH.shape[1])
    if mask is not None:
        # A finite floor, not -inf: a padding query sees no key, and must not become NaN.
        scores_BNTS = jnp.where(mask, scores_BNTS, jnp.finfo(jnp.float32).min)
    weights_BNTS = jax.nn.softmax(scores_BNTS, axis=-1).astype(v_BTNH.dtype)
    weights_BNTS = dropout(weights_BNTS, dropout_rate, key)
    return jnp.einsum("BNTS,BSNH->BTNH", weights_BNTS, v_BTNH)


def dropout(x: Array, rate: float, key: Array | None) -> Array:
    """Zero a share `rate` of x and scale up the rest; `key=None` means evaluation."""
    if key is None or rate == 0.0:
        return x
    keep = jax.random.bernoulli(key, 1.0 - rate, x.shape)
    return jnp.where(keep, x / jnp.asarray(1.0 - rate, x.dtype), jnp.zeros((), x.dtype))
