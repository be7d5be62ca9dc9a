"""Attention within a window, in blocks: work grows with T times the window, not with T squared.

A block of queries sees its own block of keys and the two beside it, of which the mask leaves the
window (Beltagy et al. 2020, section 3.2, computes its bands so too).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from bertjax.model.dropout import dropout
from bertjax.model.product import float32_product

_SMALLEST_BLOCK = 32  # smaller ones make more of products than they save


def block_size(window: tuple[int, int]) -> int:
    """Queries in a block: as many as the window reaches, so that three blocks of keys suffice."""
    return max(*window, _SMALLEST_BLOCK)


def local(
    q_BTNH: Array,
    k_BTNH: Array,
    v_BTNH: Array,
    segments_BT: Array,
    window: tuple[int, int],
    dropout_rate: float,
    key: Array | None,
) -> Array:
    """`interface.attend` with a window that ends on both sides.

    X blocks of C queries, which see S = 3C keys each.
    """
    B, T, N, H = q_BTNH.shape
    left, right = window
    C = block_size(window)
    X = -(-T // C)

    def blocks(x: Array, beside: int) -> Array:
        """[B, T, ...] -> [B, X + 2 beside, C, ...], zeros around the row."""
        around = ((0, 0), (beside * C, X * C - T + beside * C), *((0, 0),) * (x.ndim - 2))
        return jnp.pad(x, around).reshape(B, X + 2 * beside, C, *x.shape[2:])

    def seen(x: Array) -> Array:
        """The keys of each block, [B, X, S, ...]."""
        x = blocks(x, 1)
        return jnp.concatenate([x[:, :-2], x[:, 1:-1], x[:, 2:]], axis=2)

    scores_BXNCS = float32_product("BXCNH,BXSNH->BXNCS", blocks(q_BTNH * H**-0.5, 0), seen(k_BTNH))
    ahead_CS = jnp.arange(3 * C)[None, :] - C - jnp.arange(C)[:, None]
    near_CS = (ahead_CS >= -left) & (ahead_CS <= right)
    own_BXC1, theirs_BX1S = blocks(segments_BT, 0)[..., None], seen(segments_BT)[:, :, None]
    mask_BXCS = (own_BXC1 == theirs_BX1S) & (theirs_BX1S != 0) & near_CS
    # A finite floor, as in the reference: a padding query sees no key.
    floor = jnp.finfo(jnp.float32).min
    scores_BXNCS = jnp.where(mask_BXCS[:, :, None], scores_BXNCS, floor)
    weights_BXNCS = jax.nn.softmax(scores_BXNCS, axis=-1).astype(v_BTNH.dtype)
    weights_BXNCS = dropout(weights_BXNCS, dropout_rate, key)
    mixed_BXCNH = jnp.einsum("BXNCS,BXSNH->BXCNH", weights_BXNCS, seen(v_BTNH))
    return mixed_BXCNH.reshape(B, X * C, N, H)[:, :T]
