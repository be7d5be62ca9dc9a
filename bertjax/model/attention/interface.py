"""The one door to attention."""

from __future__ import annotations

import jax
from jax import Array
from jax.sharding import PartitionSpec

from bertjax.model.attention import kernels
from bertjax.model.attention.local import local
from bertjax.model.attention.reference import Window, reference

BTNH = PartitionSpec(("data", "fsdp"), None, "tensor", None)
_BT = PartitionSpec(("data", "fsdp"), None)


def attend(
    q_BTNH: Array,
    k_BTNH: Array,
    v_BTNH: Array,
    segments_BT: Array,
    *,
    backend: str,
    rows: str,
    window: Window = None,
    dropout_rate: float = 0.0,
    key: Array | None = None,
    interpret: bool = False,
) -> Array:
    """Softmax attention over both sides (Vaswani et al. 2017, 3.2), scaled by H^-0.5.

    Args:
        q_BTNH: queries [B, T, N, H]; keys and values have the same shape.
        k_BTNH: keys.
        v_BTNH: values.
        segments_BT: int32 [B, T]: a token attends to its own segment; 0 is padding, and what
            comes out there is arbitrary but finite.
        backend: from `choose`.
        rows: what `segments_BT` may hold: "full" rows have one segment and no padding, so that
            no mask is needed; "padded" ones have one segment, then padding; "packed" any.
        window: (left, right): a query at t sees keys from t − left to t + right, all to a side
            that is None.
        dropout_rate: share of the weights that are dropped if there is a key; in the plain
            backends, reference and local, alone.
        key: dropout key.
        interpret: run a kernel's program on the host instead of its device; for tests.

    Returns:
        [B, T, N, H] in the dtype of the values.
    """
    if backend == "reference":
        segments = None if rows == "full" else segments_BT
        return reference(q_BTNH, k_BTNH, v_BTNH, segments, window, dropout_rate, key)
    if backend == "local":
        assert window is not None and window[0] is not None and window[1] is not None
        ends = window[0], window[1]
        return local(q_BTNH, k_BTNH, v_BTNH, segments_BT, ends, dropout_rate, key)
    if backend == "cudnn":
        lengths_B = None if rows == "full" else (segments_BT != 0).sum(axis=1).astype("int32")
        return kernels.cudnn(q_BTNH, k_BTNH, v_BTNH, lengths_B)

    def on_device(q, k, v, segments):
        ids = None if rows == "full" else segments
        if backend == "splash":
            return kernels.splash(q, k, v, ids, window, interpret)
        return kernels.triton(q, k, v, ids, interpret)

    # XLA cannot partition these kernels: each device runs one on its own rows and heads.
    if jax.sharding.get_abstract_mesh().empty:
        return on_device(q_BTNH, k_BTNH, v_BTNH, segments_BT)
    return jax.shard_map(
        on_device, in_specs=(BTNH, BTNH, BTNH, _BT), out_specs=BTNH, check_vma=False
    )(q_BTNH, k_BTNH, v_BTNH, segments_BT)
