"""The manifest of a corpus: what it is made of and the hash of every byte, written last."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bertjax import written
from bertjax.durable import replace_file, seal, sha256
from bertjax.errors import UserError

FORMAT = 1  # raised when a corpus can no longer be read by older code
NAME = "manifest.json"
_FORM = {
    "splits": {str: {str: int}},
    "special": {str: int},
    "vocab_size": int,
    "tokenizer": str,
    "duplicates": int,
    "pair?": [int, int],
    "files": {str: {"bytes": int, "sha256": str}},
}
_MAX_BYTES = 64 << 20  # of the manifest: far above any real one


def write(directory: Path, content: dict[str, Any]) -> None:
    """Make everything in `directory` durable, then add the manifest that vouches for it.

    `content` is completed by the format version and the size and hash of every file there.
    """
    files = {
        name: {"bytes": size, "sha256": digest} for name, (size, digest) in seal(directory).items()
    }
    manifest = {"format": FORMAT, **content, "files": files}
    replace_file(directory / NAME, (json.dumps(manifest, indent=1, sort_keys=True) + "\n").encode())


def read(directory: Path) -> tuple[dict[str, Any], str]:
    """Return the manifest and its SHA-256 after checking the size of every file it lists.

    Raises `UserError` naming the file that is missing, damaged or of another version.
    """
    path = directory / NAME
    if not path.is_file():
        raise UserError(
            f"{directory}: no {NAME}, so this is no corpus or an unfinished one: give the --out "
            "directory of bertjax prepare, or run it again"
        )
    if path.stat().st_size > _MAX_BYTES:
        raise UserError(f"{path}: over {_MAX_BYTES} bytes, so not a manifest: build it again")
    data = path.read_bytes()
    try:
        manifest = json.loads(data)
        if manifest["format"] != FORMAT:
            raise UserError(
                f"{path}: format {manifest['format']!r:.20}, this version reads {FORMAT}: build "
                "the corpus again with bertjax prepare"
            )
        if wrong := written.differs(manifest, _FORM):
            raise ValueError(wrong)
        for name, entry in manifest["files"].items():
            _check_size(directory, name, entry["bytes"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(
            f"{path}: damaged ({type(error).__name__}: {error}): build the corpus again"
        ) from None
    return manifest, hashlib.sha256(data).hexdigest()


def _check_size(directory: Path, name: str, expected: int) -> None:
    path = directory / name
    if not path.resolve().is_relative_to(directory.resolve()):
        raise ValueError(f"the name {name!r} leads out of the directory")
    size = path.stat().st_size if path.is_file() else None
    if size != expected:
        seen = "is missing" if size is None else f"has {size} bytes"
        raise UserError(
            f"{path}: {seen}, the manifest says {expected}: fetch or build the corpus again"
        )


def verify(directory: Path, manifest: dict[str, Any], names: Iterable[str]) -> None:
    """Hash the files `names` and raise `UserError` for the first that differs."""
    for name in names:
        if sha256(directory / name) != manifest["files"][name]["sha256"]:
            raise UserError(
                f"{directory / name}: its bytes differ from those that were built (SHA-256): "
                "fetch or build the corpus again"
            )
