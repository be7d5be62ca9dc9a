"""Small files under the names that the guides use."""

from __future__ import annotations

import json
import lzma
import random
from pathlib import Path

import tiny_run
import tiny_task


def write_pairs(*names: str) -> None:
    """A minimal pair a file, compressed where its name says so."""
    pair = {"sentence_good": "the city is old", "sentence_bad": "the city old", "UID": "u"}
    line = (json.dumps(pair) + "\n").encode()
    for name in names:
        Path(name).write_bytes(lzma.compress(line) if name.endswith(".xz") else line)


def write_folder(name: str, seed: int = 0, new_words: int = 0) -> None:
    """A folder with a file of text, which has so many words of its own, each of them twice."""
    Path(name).mkdir()
    path = tiny_run.write_text(Path(name, "a.txt"), documents=60, seed=seed)
    # Of letters that the text has, as a word with another is one unknown piece.
    words = [f"{a}{b}qu{c}" for a in "abcdefghilmn" for b in "aeiou" for c in "abcdefghil"]
    assert new_words <= len(words)
    if new_words:
        said = " ".join(words[:new_words])
        path.write_text(f"{path.read_text()}\n{said}.\n\nAnd {said}.\n")


def write_table(name: str, rows: int = 16, text: str = "text", label: str = "label") -> None:
    """A table of `tiny_task`, its columns called otherwise; another name has other rows."""
    path = tiny_task.write_table(Path(name), rows, random.Random(name).randrange(1000))
    path.write_text(path.read_text().replace("text\tlabel", f"{text}\t{label}"))
