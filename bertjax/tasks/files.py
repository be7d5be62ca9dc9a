"""Opening labelled files: UTF-8 text, compressed or not, every failure one line."""

from __future__ import annotations

import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from bertjax.errors import UserError

_OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".xz": lzma.open}


@contextmanager
def open_text(path: str) -> Iterator[TextIO]:
    """Open a UTF-8 file, compressed if it ends in .gz or .xz; a byte order mark is dropped.

    Line ends are kept as they are. Raises UserError, naming the file and the line of a bad byte,
    when it cannot be opened or read to its end.
    """
    opener = next((o for suffix, o in _OPENERS.items() if path.endswith(suffix)), open)
    try:
        with opener(path, "rt", encoding="utf-8-sig", newline="") as stream:
            yield stream
    except UnicodeDecodeError:
        raise UserError(
            f"{path}:{_bad_line(path, opener)}: not UTF-8: save the file as UTF-8"
        ) from None
    except FileNotFoundError:
        raise UserError(f"{path}: no such file: give one that exists") from None
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{path}: cannot be read ({reason}): check or fetch it again") from None


def _bad_line(path: str, opener) -> int:
    with opener(path, "rb") as stream:
        for number, line in enumerate(stream, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return number
    return 0
