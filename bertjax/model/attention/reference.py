"""Attention as plain array operations: what every kernel is compared with."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from bertjax.model.dropout import dropout
from bertjax.model.product import float32_product

# Keys to the left and right that a query sees, None: all of them; None itself: a whole row.
Window = tuple[int | None, int | None] | None


def allowed(segments_BT: Array | None, window: Window, seq_len: int) -> Array | None:
    """Which keys a query sees: bool, broadcastable to [B, N, T, T]; None if all of them."""
    mask = None
    if segments_BT is not None:
        same_BTT = segments_BT[:, :, None] == segments_BT[:, None, :]
        mask = (same_BTT & (segments_BT != 0)[:, None, :])[:, None]
    if window is not None:
        left, right = (seq_len if side is None else side for side in window)
        query_TT, key_TT = (jax.lax.broadcasted_iota(jnp.int32, (seq_len,) * 2, i) for i in (0, 1))
        ahead_TT = key_TT - query_TT
        near_TT = (ahead_TT >= -left) & (ahead_TT <= right)
        mask = near_TT if mask is None else mask & near_TT
    return mask


def reference(
    q_BTNH: Array,
    k_BTNH: Array,
    v_BTNH: Array,
    segments_BT: Array | None,
    window: Window,
    dropout_rate: float,
    key: Array | None,
    places_BK: Array | None = None,
) -> Array:
    """`interface.attend` with products in the given dtype and the softmax in float32.

    With `places_BK` the queries are those of these places alone: [B, K, N, H], as is what returns.
    """
    scale = q_BTNH.shape[-1] ** -0.5
    scores_BNTS = float32_product("BTNH,BSNH->BNTS", q_BTNH * scale, k_BTNH)
    mask = allowed(segments_BT, window, k_BTNH.shape[1])
    if mask is not None:
        if places_BK is not None:
            of_rows = jnp.broadcast_to(mask, (places_BK.shape[0], 1, *mask.shape[-2:]))
            mask = jnp.take_along_axis(of_rows, places_BK[:, None, :, None], axis=2)
        # A finite floor, not -inf: a padding query sees no key, and must not become NaN.
        scores_BNTS = jnp.where(mask, scores_BNTS, jnp.finfo(jnp.float32).min)
    weights_BNTS = jax.nn.softmax(scores_BNTS, axis=-1).astype(v_BTNH.dtype)
    weights_BNTS = dropout(weights_BNTS, dropout_rate, key)
    return jnp.einsum("BNTS,BSNH->BTNH", weights_BNTS, v_BTNH)
