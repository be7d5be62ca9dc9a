"""A directory that appears whole or not at all."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bertjax.data.manifest import sync
from bertjax.errors import UserError


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
def staged(out: Path, log: Callable[[str], None]) -> Iterator[Path]:
    """Give a hidden sibling of `out` to fill; it takes that name when the block ends well.

    A sibling left by a killed process is removed and `log` told so; one in use is refused.
    Raises `UserError` where a file cannot be written, and leaves nothing behind.
    """
    out = out.absolute()
    check_vacant(out)
    stage = out.parent / f".{out.name}.unfinished"
    with _disk_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        stage.mkdir(exist_ok=True)
        descriptor = os.open(stage, os.O_RDONLY)
    _lock(descriptor, stage)
    try:
        with _disk_errors(out):
            if any(stage.iterdir()):
                log(f"{stage}: left by an interrupted run; removed")
                _empty(stage)
            yield stage
            check_vacant(out)
            stage.rename(out)
            sync(out.parent)
    except BaseException:
        shutil.rmtree(stage, ignore_errors=True)
        raise
    finally:
        os.close(descriptor)


def _lock(descriptor: int, stage: Path) -> None:
    """Hold the directory until the descriptor closes, which a killed process does too."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise UserError(
            f"{stage}: another process is building this: wait for it, or choose another --out"
        ) from None


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
        place = error.filename or out
        reason = error.strerror or error
        raise UserError(
            f"{place}: cannot be written ({reason}): make {out.parent} writable with enough free "
            "space (about twice the size of the text), or choose another --out"
        ) from None
