"""`model.safetensors`: written whole, and read with nothing in it taken on trust."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
from safetensors.numpy import save_file

from bertjax.errors import UserError
from bertjax.huggingface.config_json import read_json

FILE = "model.safetensors"
INDEX = "model.safetensors.index.json"

_BOUND = "tokenizer_sha256"  # in the metadata
_MAX_INDEX_BYTES = 64 << 20
_FLOATS = ("F32", "F16", "BF16")
_OTHER_FORMATS = (".bin", ".pt", ".pth", ".ckpt", ".msgpack", ".h5", ".npz", ".pkl", ".onnx")


def write_weights(path: Path, tensors: Mapping[str, np.ndarray], tokenizer: str) -> None:
    """Write contiguous arrays; the metadata says the layout of names is PyTorch's.

    It also has the fingerprint of the tokenizer, whose ids the rows of the tables are. The same
    weights are the same bytes.
    """
    try:
        save_file(dict(tensors), path, metadata={"format": "pt", _BOUND: tokenizer})
    except safetensors.SafetensorError as error:
        raise OSError(None, str(error), str(path)) from None
    _order_metadata(path)


def _order_metadata(file: Path) -> None:
    """Sort the metadata in a header, which the library writes in an order of chance."""
    with open(file, "r+b") as stream:
        size = int.from_bytes(stream.read(8), "little")
        header = json.loads(stream.read(size))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode().ljust(size)
        assert len(text) == size, "what is moved about takes the same room"
        stream.seek(8)
        stream.write(text)


@dataclass(frozen=True)
class StoredTensor:
    """Where one tensor lies, what it is called there, and what its header says."""

    name: str
    file: Path
    shape: tuple[int, ...]
    dtype: str

    def read(self) -> np.ndarray:
        """Return the values as float32; UserError if they are no finite floating numbers."""
        if self.dtype not in _FLOATS:
            raise UserError(
                f"{self.file}: {self.name} is {self.dtype}, bertjax reads {', '.join(_FLOATS)}: "
                "save the model in one of those"
            )
        try:
            with safetensors.safe_open(self.file, framework="np") as opened:
                array = opened.get_tensor(self.name).astype(np.float32)
        except (safetensors.SafetensorError, OSError) as error:
            raise _damaged(self.file, error) from None
        if not np.isfinite(array).all():
            count = int(array.size - np.isfinite(array).sum())
            raise UserError(
                f"{self.file}: {self.name} has {count:,} values that are NaN or infinite: the "
                "model diverged or the file is damaged; use another checkpoint"
            )
        return array


def open_weights(directory: Path) -> dict[str, StoredTensor]:
    """Read the headers of a model directory, one file or sharded, and no values yet.

    Raises:
        UserError: there is no safetensors file (other formats are named, with the way out), one
            is damaged, an index points outside the directory, or a name is there twice.
    """
    index = directory / INDEX
    if (directory / FILE).exists():
        return _read_header(directory / FILE)
    if not index.exists():
        raise _no_weights(directory)
    placed = _weight_map(index)
    tensors: dict[str, StoredTensor] = {}
    for file in sorted(set(placed.values())):
        if not (directory / file).exists():
            raise UserError(f"{directory / file} is missing, {index} names it: download it again")
        tensors |= {
            name: tensor
            for name, tensor in _read_header(directory / file).items()
            if placed.get(name) == file
        }
    for name, file in placed.items():
        if name not in tensors:
            raise UserError(
                f"{index} places {name!r} in {file}, which does not hold it: download both again"
            )
    return tensors


def bound_tokenizer(directory: Path) -> str | None:
    """The fingerprint of the tokenizer that the weights were written with; None if not said.

    Only `write_weights` says so, in one file: programs that save the weights anew say nothing.
    """
    file = directory / FILE
    if not file.exists():
        return None
    try:
        with safetensors.safe_open(file, framework="np") as opened:
            return (opened.metadata() or {}).get(_BOUND)
    except (safetensors.SafetensorError, OSError) as error:
        raise _damaged(file, error) from None


def _weight_map(index: Path) -> dict[str, str]:
    placed = read_json(index, _MAX_INDEX_BYTES).get("weight_map")
    if not isinstance(placed, dict) or not placed:
        raise UserError(f"{index} has no weight_map: download it again")
    for name, file in placed.items():
        plain = isinstance(file, str) and file.endswith(".safetensors")
        if not plain or "/" in file or "\\" in file or ".." in file:
            raise UserError(
                f"{index} places {name!r} in {file!r}: only names of .safetensors files in the "
                "same directory are read"
            )
    return placed


def _read_header(file: Path) -> dict[str, StoredTensor]:
    try:
        _refuse_repeated_names(file)
        with safetensors.safe_open(file, framework="np") as opened:
            tensors = {}
            for name in opened.keys():  # noqa: SIM118 - the file object is not iterable
                header = opened.get_slice(name)
                tensors[name] = StoredTensor(
                    name, file, tuple(header.get_shape()), header.get_dtype()
                )
            return tensors
    except (safetensors.SafetensorError, OSError, ValueError, RecursionError) as error:
        raise _damaged(file, error) from None


def _refuse_repeated_names(file: Path) -> None:
    """The format forbids a name twice, but the library accepts it and keeps one of the two."""
    with safetensors.safe_open(file, framework="np"), open(file, "rb") as stream:
        header = stream.read(int.from_bytes(stream.read(8), "little"))

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):
            names = [name for name, _ in pairs]
            repeated = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"{repeated!r} is there twice")
        return dict(pairs)

    json.loads(header, object_pairs_hook=unique)


def _damaged(file: Path, error: Exception) -> UserError:
    reason = " ".join(str(error).split())[:200]
    return UserError(f"{file} is no sound safetensors file ({reason}): download or export it again")


def _no_weights(directory: Path) -> UserError:
    others = sorted(p.name for p in directory.iterdir() if p.suffix in _OTHER_FORMATS)
    if others:
        return UserError(
            f"{directory} has its weights in {others[0]}: bertjax reads safetensors only, because "
            "such files can run code when loaded; convert it elsewhere with transformers: "
            "from_pretrained, then save_pretrained"
        )
    return UserError(f"{directory} has no {FILE} and no {INDEX}: give a whole model directory")
