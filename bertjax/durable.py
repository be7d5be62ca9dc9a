"""Files and directories that appear whole, stay after a power cut, and can be checked.

Everything that must not be half there goes through here: corpora, checkpoints, exports, results.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import math
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from bertjax.errors import UserError

# What flock says where the file system has no locks: NFS without lockd, Lustre without -o flock.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


# Files.


def sync(path: Path) -> None:
    """Force a file's bytes, or a directory's entries, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def appearing_file(path: Path) -> Iterator[BinaryIO]:
    """Give a file to write that gets its name when the block ends well.

    A crash at any instant leaves what was there before or all of the new bytes. Two processes may
    write one name at once: the later one wins. A symbolic link stays one; a pipe or a device, such
    as /dev/stdout, is written to as it is.
    """
    if path.exists() and not path.is_file():
        with path.open("wb") as file:
            yield file
        return
    path = path.resolve()
    temporary = path.with_name(f".{uuid.uuid4().hex}")  # as short as any name that fits
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync(path.parent)


def replace_file(path: Path, data: bytes) -> None:
    """Write a whole file as `appearing_file` does."""
    with appearing_file(path) as file:
        file.write(data)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write indented JSON, null for what `finite` finds, as a whole file."""
    text = json.dumps(finite(content), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    replace_file(path, text.encode())


def finite(value: Any) -> Any:
    """Return a JSON value with None for every NaN and infinity in it, which JSON does not have."""
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


# Hashes of every file in a directory.


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_in(folder: Path) -> dict[str, Path]:
    """Map the name of every file below `folder`, with slashes, to its path; sorted."""
    found = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    return {path.relative_to(folder).as_posix(): path for path in sorted(found)}


def seal(folder: Path) -> dict[str, tuple[int, str]]:
    """Make everything below `folder` durable; returns size in bytes and SHA-256 of every file."""
    sealed = {}
    for name, path in files_in(folder).items():
        sync(path)
        sealed[name] = (path.stat().st_size, sha256(path))
    # Directories too: after a power cut a file is only there if its entry is.
    for directory in [folder, *(path for path in folder.rglob("*") if path.is_dir())]:
        sync(directory)
    return sealed


# Directories.


def check_vacant(out: Path) -> None:
    """Raise `UserError` unless `out` is free to become a new directory."""
    if out.is_dir() and not any(out.iterdir()):
        return
    if out.exists():
        raise UserError(f"{out}: exists already: choose another --out, or remove it first")


def check_place(out: Path) -> None:
    """Raise `UserError` unless a directory can be made at `out`; makes nothing."""
    above = next(parent for parent in out.absolute().parents if parent.exists())
    if not above.is_dir():
        raise UserError(f"{out}: {above} is a file: choose another --out")
    if not os.access(above, os.W_OK | os.X_OK):
        raise UserError(f"{out}: {above} is not writable: choose another --out")


@contextmanager
def staged(out: Path, log: Callable[[str], None] = lambda line: None) -> Iterator[Path]:
    """Give a hidden sibling of `out` to fill; it takes that name when the block ends well.

    A sibling left by a killed process is removed and `log` told so; one in use is refused. Files
    the block has not made durable are made so. Raises `UserError` where a file cannot be written,
    and leaves nothing behind.
    """
    out = out.absolute()
    check_vacant(out)
    stage = out.parent / f".{out.name}.unfinished"
    with _disk_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        stage.mkdir(exist_ok=True)
        descriptor = os.open(stage, os.O_RDONLY)
    try:
        with _disk_errors(out):
            _lock_stage(descriptor, stage, log)
        try:
            with _disk_errors(out):
                if any(stage.iterdir()):
                    log(f"{stage}: left by an interrupted run; removed")
                    _empty(stage)
                yield stage
                for path in (*files_in(stage).values(), stage):
                    sync(path)
                check_vacant(out)
                stage.rename(out)
                sync(out.parent)
        except BaseException:
            shutil.rmtree(stage, ignore_errors=True)
            raise
    finally:
        os.close(descriptor)


def _lock_stage(descriptor: int, stage: Path, log: Callable[[str], None]) -> None:
    try:
        if not lock(descriptor):
            log(f"{stage.parent}: the file system has no locks: do not build there twice at once")
    except BlockingIOError:
        raise UserError(
            f"{stage}: another process is building this: wait for it, or choose another --out"
        ) from None


def lock(descriptor: int) -> bool:
    """Lock an open file or directory until it is closed, which a killed process does too.

    Returns False where the file system has no locks. Raises BlockingIOError if another process
    holds the lock.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        return False
    return True


def _empty(directory: Path) -> None:
    for path in directory.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


@contextmanager
def _disk_errors(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{out} cannot be written ({error.strerror or error}): make {out.parent} writable with "
            "enough free space (a corpus needs about twice the size of its text), or choose "
            "another --out"
        ) from None
