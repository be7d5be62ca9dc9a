"""Parameters as the tensors of a Hugging Face file, and back. All on the host, with NumPy.

Both sides hold the same numbers in another arrangement: linear weights are [out, in] in most
files and [in, out] here, several may lie end to end in one tensor, vocabularies are padded here,
position tables start at another row, and rows of a tensor may be in another order.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bertjax.config import ModelConfig
from bertjax.huggingface.names import Tensor
from bertjax.huggingface.systems import System

_POSITIONS = "embeddings/position_embeddings/embedding"
# A row or entry for each piece of the vocabulary, and some more here.
_PADDED = (
    "embeddings/word_embeddings/embedding",
    "masked_lm/bias",
    "masked_lm/decoder",
    "masked_lm/extension/kernel",
)


def to_hub(
    cfg: ModelConfig,
    system: System,
    tensor: Tensor,
    leaves: Mapping[str, Any],
    first_position: int,
) -> np.ndarray:
    """Arrange parameters as a tensor of a system's file; float32, contiguous.

    `first_position` is the row of position 0 in the table that is written. Rows before it are
    never read; the ones at hand are kept and missing ones are zero.
    """

    def one(path: str) -> np.ndarray:
        array = np.asarray(leaves[path], np.float32)
        if path in _PADDED:
            array = array[: cfg.vocab_size]
        elif path == _POSITIONS:
            array = array[max(cfg.position_offset - first_position, 0) :]
            missing = max(first_position - cfg.position_offset, 0)
            array = np.pad(array, ((missing, 0), (0, 0)))
        if _is_transposed(system, path):
            array = array.T
        return array

    parts = [one(path) for path in tensor.paths]
    axis = _joined_axis(system, tensor)
    joined = parts[0] if len(parts) == 1 else np.concatenate(parts, axis)
    order = system.rows(cfg, tensor.paths)
    return np.ascontiguousarray(joined if order is None else joined[order])


def from_hub(
    cfg: ModelConfig, system: System, tensor: Tensor, array: np.ndarray
) -> dict[str, np.ndarray]:
    """Arrange a tensor as the parameters in it; `cfg` has the tensor's position offset."""

    def one(path: str, part: np.ndarray) -> np.ndarray:
        if _is_transposed(system, path):
            part = part.T
        if path in _PADDED:
            padding = cfg.padded_vocab_size - cfg.vocab_size
            part = np.pad(part, ((0, padding), *((0, 0),) * (part.ndim - 1)))
        return np.ascontiguousarray(part)

    order = system.rows(cfg, tensor.paths)
    array = array if order is None else array[np.argsort(order)]
    parts = np.split(array, len(tensor.paths), _joined_axis(system, tensor))
    return {path: one(path, part) for path, part in zip(tensor.paths, parts, strict=True)}


def hub_shape(
    cfg: ModelConfig, system: System, tensor: Tensor, shapes: Mapping[str, tuple[int, ...]]
) -> tuple[int, ...]:
    """Shape of a tensor from which `from_hub` makes parameters of the given shapes."""
    path = tensor.paths[0]
    shape = list(shapes[path])
    if path in _PADDED:
        shape[0] = cfg.vocab_size
    if _is_transposed(system, path):
        shape.reverse()
    shape[_joined_axis(system, tensor)] *= len(tensor.paths)
    return tuple(shape)


def _is_transposed(system: System, path: str) -> bool:
    return path.endswith("/kernel") and (system.transposed or path.startswith("head/"))


def _joined_axis(system: System, tensor: Tensor) -> int:
    """Along which several parameters lie: that of the outputs."""
    return -1 if not system.transposed and tensor.paths[0].endswith("/kernel") else 0
