"""A corpus that other processes map from disk instead of being sent a copy."""

from __future__ import annotations

import mmap
from typing import Any

import numpy as np

from bertjax.data.corpus import Corpus


def shared(corpus: Corpus) -> Corpus:
    """Return the same corpus, but pickled as the names of its files where it is memory-mapped."""
    return _SharedCorpus(**vars(corpus))


class _SharedCorpus(Corpus):
    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, ({name: _as_file(value) for name, value in vars(self).items()},)


class _File(tuple[str, ...]):
    """Arguments of `np.memmap` for an array that lives in a file."""


def _as_file(value: Any) -> Any:
    # A slice of a map is a map too, but one that has kept the offset of the whole.
    if isinstance(value, np.memmap) and isinstance(value.base, mmap.mmap):
        return _File((value.filename, value.dtype, "r", value.offset, value.shape))
    return value


def _restore(pickled: dict[str, Any]) -> Corpus:
    fields = {k: np.memmap(*v) if isinstance(v, _File) else v for k, v in pickled.items()}
    return _SharedCorpus(**fields)  # type: ignore[arg-type]
