"""The manifest that makes a folder of files a checkpoint: what each byte of it must be.

Orbax restores an array with a flipped bit without a word, so trust rests here: `manifest.json`
lists the size and SHA-256 of every file, the shape and type of every array, and a digest of
itself. It is written after everything else, so a folder that has one was finished.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bertjax import written
from bertjax.durable import files_in, replace_file, seal, sha256

NAME = "manifest.json"
FORMAT = 1
_FORM = {
    "step": int,
    "meta": dict,
    "arrays": {str: {str: [[int], str]}},
    "files": {str: [int, str]},
}
_LARGEST = 64 << 20  # bytes; a manifest takes about 100 an array


class DamagedError(Exception):
    """A folder is not the checkpoint it claims to be; the text names the file."""


@dataclass(frozen=True)
class Manifest:
    """What a checkpoint holds.

    `arrays` maps an item ("params") to its arrays: slash-joined path -> [shape, dtype name].
    `files` maps a path inside the folder to [bytes, SHA-256]. `meta` is the caller's own JSON.
    """

    step: int
    meta: dict[str, Any]
    arrays: dict[str, dict[str, list[Any]]]
    files: dict[str, list[Any]]


def write(
    folder: Path, step: int, meta: dict[str, Any], arrays: dict[str, dict[str, list[Any]]]
) -> None:
    """Hash every file in `folder`, make all of it durable, then write the manifest."""
    files = {name: list(entry) for name, entry in seal(folder).items()}
    body = {"format": FORMAT, "step": step, "meta": meta, "arrays": arrays, "files": files}
    replace_file(folder / NAME, _with_digest(body))


def read(folder: Path) -> Manifest:
    """Read and check the manifest alone; raises DamagedError if it is absent or not intact."""
    try:
        with open(folder / NAME, "rb") as file:
            data = file.read(_LARGEST + 1)
    except FileNotFoundError:
        raise DamagedError(f"{NAME} is missing: the save never finished") from None
    except OSError as error:
        raise DamagedError(f"{NAME} cannot be read ({error.strerror})") from None
    body = _unseal(data) if len(data) <= _LARGEST else None
    if body is None:
        raise DamagedError(f"{NAME} does not match its own digest")
    if body.get("format") != FORMAT:
        raise DamagedError(
            f"{NAME} has format {body.get('format')}, this bertjax reads {FORMAT}: upgrade it"
        )
    if wrong := written.differs(body, _FORM):
        raise DamagedError(f"{NAME} was not written by bertjax ({wrong})")
    return Manifest(body["step"], body["meta"], body["arrays"], body["files"])


def verify(folder: Path) -> Manifest:
    """Check every byte of a checkpoint; raises DamagedError naming the first wrong file."""
    manifest = read(folder)
    present = files_in(folder)
    present.pop(NAME, None)
    for name in sorted(manifest.files.keys() | present.keys()):
        if name not in manifest.files:
            raise DamagedError(f"{name} is not in {NAME}")
        if name not in present:
            raise DamagedError(f"{name} is missing")
        size, digest = manifest.files[name]
        try:
            actual = present[name].stat().st_size
            if actual != size:
                raise DamagedError(f"{name} has {actual:,} bytes, not {size:,}")
            if sha256(present[name]) != digest:
                raise DamagedError(f"{name} has changed since it was written (SHA-256)")
        except OSError as error:
            raise DamagedError(f"{name} cannot be read ({error.strerror})") from None
    return manifest


def _with_digest(body: dict[str, Any]) -> bytes:
    """Serialise to the one canonical text that carries the digest of the rest."""
    rest = {key: value for key, value in body.items() if key != "digest"}
    return _canonical({**rest, "digest": hashlib.sha256(_canonical(rest)).hexdigest()})


def _unseal(data: bytes) -> dict[str, Any] | None:
    """Parse a sealed text; None unless it is, byte for byte, what `_with_digest` would write."""
    try:
        body = json.loads(data)
        return body if isinstance(body, dict) and _with_digest(body) == data else None
    except (ValueError, RecursionError):
        return None


def _canonical(value: Any) -> bytes:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode("ascii")
