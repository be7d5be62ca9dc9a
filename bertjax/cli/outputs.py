"""Files that a command is to write: whether it can, before the work is done."""

from __future__ import annotations

import os
from pathlib import Path

from bertjax.errors import UserError


def check_output(option: str, path: Path | None, source: str = "") -> None:
    """Raise UserError if `path` cannot be written, or is the file `source` that is read."""
    if path is None:
        return
    if path.name == "-" == str(path):
        raise UserError(f"{option} -: name a file; /dev/stdout is where this command reports")
    folder = path.absolute().parent
    try:
        exists = path.exists()
    except OSError as error:  # a name that is too long
        raise UserError(f"{option} {path}: {error.strerror}: give another name") from None
    if path.is_dir():
        raise UserError(f"{option} {path}: is a directory: name a file in it")
    if not folder.is_dir():
        raise UserError(f"{option} {path}: no directory {folder}: make it first")
    if not os.access(path if exists and not path.is_file() else folder, os.W_OK):
        raise UserError(f"{option} {path}: {folder} may not be written to: give another place")
    if source and exists and Path(source).exists() and path.samefile(source):
        raise UserError(f"{option} {path}: is the file that is read: give another name")
