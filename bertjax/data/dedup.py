"""Which of many documents come first among their equals, in bounded memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np

BUCKET_DOCUMENTS = 1 << 21  # sorted at once: about 100 MB
_ENTRY = np.dtype([("high", "<u8"), ("low", "<u8"), ("index", "<u8")])


def mark_first(digests: Path, scratch: Path, bucket: int = BUCKET_DOCUMENTS) -> np.ndarray:
    """Mark the first document of each set with the same digest.

    The file `digests` holds 16 bytes a document. They are distributed to files in the directory
    `scratch` by value, then each file is sorted alone. Returns bool [documents], a memory map of
    a file in `scratch`.
    """
    total = digests.stat().st_size // 16
    count = min(512, -(-total // bucket))  # files open at once
    first = np.memmap(scratch / "first", np.bool_, "w+", shape=(total,))
    paths = [scratch / f"bucket-{i}" for i in range(count)]
    files = [path.open("wb") for path in paths]
    for start in range(0, total, bucket):
        part = np.fromfile(digests, "<u8", 2 * bucket, offset=16 * start).reshape(-1, 2)
        entries = np.empty(len(part), _ENTRY)
        entries["high"], entries["low"] = part[:, 0], part[:, 1]
        entries["index"] = np.arange(start, start + len(part))
        of_bucket = part[:, 1] % np.uint64(count)
        for i, file in enumerate(files):
            file.write(entries[of_bucket == i].tobytes())
    for file, path in zip(files, paths, strict=True):
        file.close()
        entries = np.fromfile(path, _ENTRY)
        # The sort is stable and entries lie by index, so the first of a run of equals is first.
        entries = entries[np.lexsort((entries["low"], entries["high"]))]
        new = np.ones(len(entries), bool)
        new[1:] = (np.diff(entries["high"]) != 0) | (np.diff(entries["low"]) != 0)
        first[entries["index"][new]] = True
        path.unlink()
    return first
