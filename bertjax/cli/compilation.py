"""What XLA has compiled is kept for the next commands, in a folder that does not grow for ever.

JAX writes there and reads; its own bound on the folder's size is not used, as it needs locks, which
some file systems lack, and keeps nothing more once a process was killed between two of its writes
(jax issue 39880). Nor does JAX replace an entry that it cannot read: that is done here.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import tempfile
import time
import zlib
from pathlib import Path

LIMIT = 2 * 2**30  # bytes; BERT-base's training step takes 2 MB of them
_ROOM = 4 * 2**20  # bytes: without those for one more entry there is no use in a folder
_SETTLED = 60  # seconds after which nobody is writing an entry any more
_ZSTD = b"\x28\xb5\x2f\xfd"  # Python 3.14 can write that, and Python 3.11 cannot check it


def keep_compiled() -> None:
    """Have JAX keep what it compiles in the user's cache folder, unless the environment decides.

    JAX_COMPILATION_CACHE_DIR names another folder, which is left as it is, or none if empty, and
    JAX_ENABLE_COMPILATION_CACHE=false keeps nothing. A folder that cannot be written to is said,
    and then nothing is kept. Must come before JAX is imported.
    """
    # JAX's 1 s is for programs that take a minute; ours are small, and many.
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    try:
        folder = _folder()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # JAX runs what lies there
        tidy(folder, LIMIT)
        with tempfile.TemporaryFile(dir=folder) as trial:  # or JAX would warn at every program
            trial.write(bytes(_ROOM))
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no home directory
        print(
            f"note   nothing that is compiled is kept: {error}; "
            "JAX_COMPILATION_CACHE_DIR=FOLDER names another place",
            file=sys.stderr,
        )
    else:
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder)


def tidy(folder: Path, limit: int) -> None:
    """Remove entries that were left half written, and those longest unused beyond `limit` bytes.

    The former are of killed processes and full disks; what was found whole becomes read-only, and
    is not looked at again. Any number of processes may tidy at once.
    """
    found = []
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # another process was faster
            about = path.stat()
            if not stat.S_ISREG(about.st_mode):
                continue
            unseen = path.name.endswith("-cache") and about.st_mode & stat.S_IWUSR
            if unseen and about.st_mtime < time.time() - _SETTLED:
                if not _is_whole(path):
                    path.unlink()
                    continue
                os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))  # a look is no use
                path.chmod(stat.S_IRUSR)
            found.append((max(about.st_atime, about.st_mtime), about.st_size, path))
    total = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if total <= limit:
            break
        path.unlink(missing_ok=True)
        total -= size


def _folder() -> Path:
    """`bertjax/xla` in the user's cache folder, as the XDG base directory specification says."""
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (named if named.is_absolute() else Path.home() / ".cache") / "bertjax" / "xla"


def _is_whole(path: Path) -> bool:
    """Whether an entry can be unpacked."""
    data = path.read_bytes()
    try:
        zlib.decompress(data)
    except zlib.error:
        return data.startswith(_ZSTD)
    return True
