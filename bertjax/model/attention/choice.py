"""Which backend computes attention: the fastest that is right for the shapes."""

from __future__ import annotations

from dataclasses import dataclass

from bertjax.errors import UserError
from bertjax.model.attention.local import block_size
from bertjax.model.attention.reference import Window


@dataclass(frozen=True)
class Call:
    """All that decides whether a backend can compute one call of attention."""

    platform: str  # JAX's name of the devices: cpu | gpu (or cuda) | tpu
    dtype: str  # compute dtype
    seq_len: int  # T
    head_size: int  # H
    rows: str  # full: no padding | padded: one segment, padding at the end | packed: segments
    window: Window = None
    drops: bool = False  # attention dropout is on


def choose(wanted: str, call: Call) -> tuple[str, str]:
    """Settle "auto" or check a backend that was asked for.

    Returns the backend and why it is the one. Raises UserError if `wanted` cannot compute `call`;
    it names the nearest setting that can.
    """
    if wanted == "auto":
        candidates = {"gpu": ("cudnn", "triton"), "cuda": ("cudnn", "triton"), "tpu": ("splash",)}
        why = f"no kernel for {call.platform}"
        for backend in candidates.get(call.platform, ()):
            obstacle = _obstacle(backend, call)
            if obstacle is None:
                return backend, f"the fastest here for {call.rows} rows"
            why = f"{backend} {obstacle}"
        return ("reference" if _obstacle("local", call) else "local"), why
    obstacle = _obstacle(wanted, call)
    if obstacle is not None:
        instead, _ = choose("auto", call)
        way_out = "auto" if instead == "local" else f"{instead} (or auto)"
        raise UserError(f"train.attention={wanted} {obstacle}: use train.attention={way_out}")
    return wanted, "asked for"


def _obstacle(backend: str, call: Call) -> str | None:
    """Why a backend cannot compute a call, as the end of a sentence; None if it can."""
    if backend == "reference":
        return None
    if backend == "local":
        if call.window is None or None in call.window:
            return "needs a window that ends on both sides"
        if call.seq_len < 4 * block_size((call.window[0] or 0, call.window[1] or 0)):
            return f"gains nothing in rows of {call.seq_len} tokens with a window of {call.window}"
        return None
    home = "tpu" if backend == "splash" else "gpu"
    if call.platform not in (home, "cuda" if home == "gpu" else home):
        return f"runs on {home}, not on {call.platform}"
    if call.drops:
        return "has no attention dropout, and model.attention_dropout is above 0"
    if backend == "splash" and call.seq_len % 128:
        return f"needs rows of a multiple of 128 tokens, not {call.seq_len}"
    if backend == "triton":
        if call.seq_len % min(128, call.seq_len) or call.seq_len & (call.seq_len - 1) & 127:
            return f"needs rows of a multiple of 128 tokens, or a power of 2, not {call.seq_len}"
        if call.head_size & (call.head_size - 1) or call.head_size < 16:
            return f"needs a head size that is a power of 2 from 16 up, not {call.head_size}"
        if call.window is not None:
            return "has no local window"
    if backend == "cudnn":
        if call.dtype != "bfloat16":
            return f"computes in bfloat16, and train.compute_dtype is {call.dtype}"
        if call.rows == "packed":
            return "does not isolate the segments of packed rows"
        if call.window is not None:
            return "has no two-sided local window"
        if call.head_size % 8 or call.head_size > 128:
            return f"needs a head size of at most 128 and a multiple of 8, not {call.head_size}"
    return None
