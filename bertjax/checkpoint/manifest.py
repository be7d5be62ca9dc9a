"""The manifest that makes a folder of files a checkpoint: what each byte of it must be.

Orbax restores an array with a flipped bit without a word, so trust rests here: `manifest.json`
lists the size and SHA-256 of every file, the shape and type of every array, and a digest of
itself. It is written after everything else, so a folder that has one was finished.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NAME = "manifest.json"
FORMAT = 1
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
    arrays: dict[str, dict[str, list]]
    files: dict[str, list]


def write(folder: Path, step: int, meta: dict, arrays: dict[str, dict[str, list]]) -> None:
    """Hash every file in `folder`, make all of it durable, then write the manifest."""
    files = {}
    for name, path in _files(folder).items():
        files[name] = [path.stat().st_size, _hash_file(path, make_durable=True)]
    body = {"format": FORMAT, "step": step, "meta": meta, "arrays": arrays, "files": files}
    # Directories too: after a power cut a file is only there if its entry is.
    for directory in [folder, *(p for p in folder.rglob("*") if p.is_dir())]:
        sync_directory(directory)
    replace_file(folder / NAME, _seal(body))


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
    if not isinstance(body.get("step"), int) or not all(
        isinstance(body.get(key), dict) for key in ("meta", "arrays", "files")
    ):
        raise DamagedError(f"{NAME} was not written by bertjax")
    return Manifest(body["step"], body["meta"], body["arrays"], body["files"])


def verify(folder: Path) -> Manifest:
    """Check every byte of a checkpoint; raises DamagedError naming the first wrong file."""
    manifest = read(folder)
    present = _files(folder)
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
            if _hash_file(present[name]) != digest:
                raise DamagedError(f"{name} has changed since it was written (SHA-256)")
        except OSError as error:
            raise DamagedError(f"{name} cannot be read ({error.strerror})") from None
    return manifest


def replace_file(path: Path, data: bytes) -> None:
    """Write a whole file so that a crash at any instant leaves the old one or the new one."""
    temporary = path.with_name(f"{path.name}.tmp")
    with open(temporary, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make the creation, renaming and deletion of a directory's entries durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _files(folder: Path) -> dict[str, Path]:
    found = (p for p in folder.rglob("*") if p.is_symlink() or not p.is_dir())
    return {p.relative_to(folder).as_posix(): p for p in sorted(found)}


def _hash_file(path: Path, make_durable: bool = False) -> str:
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        if make_durable:
            os.fsync(file.fileno())
    return digest


def _seal(body: dict) -> bytes:
    """Serialise to the one canonical text that carries the digest of the rest."""
    rest = {key: value for key, value in body.items() if key != "digest"}
    return _canonical({**rest, "digest": hashlib.sha256(_canonical(rest)).hexdigest()})


def _unseal(data: bytes) -> dict | None:
    """Parse a sealed text; None unless it is, byte for byte, what `_seal` would write."""
    try:
        body = json.loads(data)
        return body if isinstance(body, dict) and _seal(body) == data else None
    except (ValueError, RecursionError):
        return None


def _canonical(value: Any) -> bytes:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode("ascii")
