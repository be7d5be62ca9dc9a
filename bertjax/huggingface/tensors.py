"""One parameter as a Hugging Face tensor, and back. All on the host, with NumPy.

Both sides hold the same numbers in another arrangement: linear weights are [out, in] there and
[in, out] here, vocabularies are padded here, and position tables start at another row.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from bertjax.config import ModelConfig

PADDED = ("embeddings/word_embeddings/embedding", "masked_lm/bias")
_POSITIONS = "embeddings/position_embeddings/embedding"


def to_hub(cfg: ModelConfig, path: str, parameter: Any, first_position: int) -> np.ndarray:
    """Arrange the parameter at `path` as Hugging Face does; float32, contiguous.

    `first_position` is the row of position 0 in the table that is written. Rows before it are
    never read; the ones at hand are kept and missing ones are zero.
    """
    array = np.asarray(parameter, np.float32)
    if path in PADDED:
        array = array[: cfg.vocab_size]
    elif path == _POSITIONS:
        array = array[max(cfg.position_offset - first_position, 0) :]
        missing = max(first_position - cfg.position_offset, 0)
        array = np.pad(array, ((missing, 0), (0, 0)))
    elif path.endswith("/kernel"):
        array = array.T
    return np.ascontiguousarray(array)


def from_hub(cfg: ModelConfig, path: str, tensor: np.ndarray) -> np.ndarray:
    """Arrange a tensor as the parameter at `path`; `cfg` has the tensor's position offset."""
    if path in PADDED:
        padding = cfg.padded_vocab_size - cfg.vocab_size
        return np.pad(tensor, ((0, padding), *((0, 0),) * (tensor.ndim - 1)))
    return np.ascontiguousarray(tensor.T) if path.endswith("/kernel") else tensor


def hub_shape(cfg: ModelConfig, path: str, shape: Iterable[int]) -> tuple[int, ...]:
    """Shape of the tensor from which `from_hub` makes a parameter of the given shape."""
    shape = tuple(shape)
    if path in PADDED:
        return (cfg.vocab_size, *shape[1:])
    return shape[::-1] if path.endswith("/kernel") else shape
