"""Attention kernels that come with JAX, called as `interface.attend` needs them.

Each is compared with the reference in tests/model/test_attention.py: forward, gradient, and no
leak between segments. Limits are those of jax 0.10 to 0.12; `choice` knows them.
"""

from __future__ import annotations

from typing import Any

import jax
from jax import Array

from bertjax.model.attention.reference import Window

# Splash tiles: the whole row up to this many tokens, so that short rows are one tile.
_SPLASH_TILE = 512


def cudnn(q_BTNH: Array, k_BTNH: Array, v_BTNH: Array, lengths_B: Array | None) -> Array:
    """cuDNN's flash attention on NVIDIA; `lengths_B` int32 [B] are the real tokens of each row.

    Lengths, not a mask: cuDNN takes a mask as a bias, which costs it twice the time.
    """
    return jax.nn.dot_product_attention(
        q_BTNH,
        k_BTNH,
        v_BTNH,
        query_seq_lengths=lengths_B,
        key_value_seq_lengths=lengths_B,
        implementation="cudnn",
    )


def triton(
    q_BTNH: Array, k_BTNH: Array, v_BTNH: Array, segments_BT: Array | None, interpret: bool
) -> Array:
    """Pallas's Triton kernel on NVIDIA: isolates segments (jax.experimental.pallas.ops.gpu)."""
    from jax.experimental.pallas.ops.gpu import attention as gpu

    T = q_BTNH.shape[1]
    tile = min(64, T)
    return gpu.mha(
        q_BTNH,
        k_BTNH,
        v_BTNH,
        segments_BT,
        sm_scale=q_BTNH.shape[-1] ** -0.5,
        block_sizes=gpu.BlockSizes(
            block_q=min(128, T),
            block_k=tile,
            block_q_dkv=tile,
            block_kv_dkv=tile,
            block_q_dq=tile,
            block_kv_dq=tile,
        ),
        interpret=interpret,
    )


def splash(
    q_BTNH: Array,
    k_BTNH: Array,
    v_BTNH: Array,
    segments_BT: Array | None,
    window: Window,
    interpret: bool,
) -> Array:
    """Splash attention on TPU: isolates segments and skips tiles outside of the window."""
    from jax.experimental.pallas.ops.tpu.splash_attention import SegmentIds

    _, T, N, H = q_BTNH.shape
    kernel = _splash_kernel(T, N, window, interpret)
    heads_first = [x.swapaxes(1, 2) for x in (q_BTNH * H**-0.5, k_BTNH, v_BTNH)]
    if segments_BT is None:
        mixed_BNTH = jax.vmap(kernel)(*heads_first)
    else:
        mixed_BNTH = jax.vmap(kernel)(*heads_first, SegmentIds(segments_BT, segments_BT))
    return mixed_BNTH.swapaxes(1, 2)


def _splash_kernel(T: int, N: int, window: Window, interpret: bool) -> Any:
    from jax.experimental.pallas.ops.tpu import splash_attention as tpu

    one = tpu.FullMask((T, T)) if window is None else tpu.LocalMask((T, T), window, 0)
    tile = next(size for size in (_SPLASH_TILE, 384, 256, 128) if T % size == 0 or size == 128)
    tile = min(tile, T)
    # Made anew in each trace, which its arrays belong to: outside of one they would have to lie on
    # the mesh's devices, and `bertjax plan` has none.
    return tpu.make_splash_mha(
        mask=tpu.MultiHeadMask([one] * N),
        block_sizes=tpu.BlockSizes(
            block_q=tile,
            block_kv=tile,
            block_q_dkv=tile,
            block_kv_dkv=tile,
            block_q_dq=tile,
            block_kv_dq=tile,
        ),
        head_shards=1,
        q_seq_shards=1,
        interpret=interpret,
    )
