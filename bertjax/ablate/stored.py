"""What was measured of a cell, example by example, in a file beside its run."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bertjax import written
from bertjax.durable import replace_file
from bertjax.probe.scores import Scores


def save_scores(path: Path, scores: Mapping[str, Scores]) -> None:
    """Write what was measured, the same bytes for the same scores."""
    arrays: dict[str, np.ndarray] = {}
    for name, found in scores.items():
        about = json.dumps([found.unit, found.better])
        arrays[f"{name}/values"] = found.values
        arrays[f"{name}/weights"] = found.weights
        arrays[f"{name}/groups"] = np.array(found.groups, str)
        arrays[f"{name}/about"] = np.array(about)
    file = io.BytesIO()
    np.savez_compressed(file, allow_pickle=False, **arrays)
    replace_file(path, file.getvalue())


def load_scores(path: Path) -> dict[str, Scores]:
    """The inverse of `save_scores`; UserError where the file is damaged."""
    try:
        return dict(_read(path))
    except Exception as error:  # zipfile and NumPy raise many kinds, and `Scores` asserts
        raise written.damaged(path, f"{type(error).__name__}: {error}") from None


def _read(path: Path) -> Iterator[tuple[str, Scores]]:
    with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
        for key in arrays:
            name, _, what = key.rpartition("/")
            if what == "values":
                unit, better = json.loads(str(arrays[f"{name}/about"]))
                groups = tuple(map(_text, arrays[f"{name}/groups"].tolist()))
                weights = _numbers(arrays[f"{name}/weights"])
                if weights.size and not weights.min() >= 0 < weights.sum():
                    raise ValueError(f"weights of {name} that are no weights")
                values = _numbers(arrays[key])
                yield name, Scores(name, values, _text(unit), better, groups, weights)


def _numbers(array: np.ndarray) -> np.ndarray:
    if array.dtype.kind != "f" or not (np.abs(array) < written.LARGEST).all():
        raise ValueError("no numbers that can be compared")
    return array


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.40} is no text")
    value.encode()  # half a character raises here, and not in the report
    return value
