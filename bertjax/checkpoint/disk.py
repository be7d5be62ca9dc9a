"""Disks that are full, read-only or gone, told to the user in one line."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from bertjax.errors import UserError

_SLACK = 1 << 20  # bytes for metadata and manifest
_OS_ERROR_CODE = re.compile(r"os_error_code='(\d+)'")  # how TensorStore reports errno
_FIXES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "free some space"),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "make the directory writable"),
}


def require_room(step: int, directory: Path, needed: int) -> None:
    """Refuse to begin a save of `needed` bytes of arrays that the disk cannot hold.

    Orbax stores close to the plain size of the arrays (0.92 for random float32); a tenth more
    is asked for. Raises UserError.
    """
    needed = needed + needed // 10 + _SLACK
    if shutil.disk_usage(directory).free < needed:
        raise _lost(step, directory, needed, errno.ENOSPC)


@contextlib.contextmanager
def as_user_errors(step: int, directory: Path, needed: int) -> Iterator[None]:
    """Turn the operating system's refusals while `step` is saved into UserErrors."""
    try:
        yield
    except (OSError, ValueError) as error:
        code = _errno_of(error)
        if code is None:
            raise
        raise _lost(step, directory, needed, code) from error


def _errno_of(error: Exception) -> int | None:
    if isinstance(error, OSError):
        return error.errno
    match = _OS_ERROR_CODE.search(str(error))
    if match:
        return int(match[1])
    return errno.ENOSPC if "RESOURCE_EXHAUSTED" in str(error) else None


def _lost(step: int, directory: Path, needed: int, code: int) -> UserError:
    try:
        free = f"{shutil.disk_usage(directory).free:,} are free"
    except OSError:
        free = "the directory is gone"
    fix = _FIXES.get(code, "check the disk")
    return UserError(
        f"checkpoint of step {step} was not saved in {directory}: {os.strerror(code)} "
        f"({needed:,} bytes needed, {free}): {fix} and run again; older checkpoints are intact"
    )
