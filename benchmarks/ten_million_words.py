"""Ten million words of running text, half from each of two files, for `configs/strict_small.py`.

    python benchmarks/ten_million_words.py words.txt WIKIPEDIA.txt.xz BOOKS.txt.xz

Documents are separated by blank lines. Of each file the first are taken, as many as make half the
words (parts between white space); all are shuffled by one seed.
"""

from __future__ import annotations

import argparse
import lzma
import random
import sys
from pathlib import Path

WORDS = 10_000_000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("texts", type=Path, nargs=2, help="text files compressed by xz")
    args = parser.parse_args()
    first = documents(args.texts[0], WORDS // 2)
    second = documents(args.texts[1], WORDS - sum(len(text.split()) for text in first))
    chosen = first + second
    random.Random(0).shuffle(chosen)
    args.out.write_text("\n\n".join(chosen) + "\n", encoding="utf-8")
    print(f"{args.out}: {len(chosen):,} documents, {sum(len(t.split()) for t in chosen):,} words")
    return 0


def documents(path: Path, words: int) -> list[str]:
    """The first documents of a file that have at most so many words together."""
    taken: list[str] = []
    with lzma.open(path, "rt", encoding="utf-8") as file:
        for document in file.read().split("\n\n"):
            words -= len(document.split())
            if words < 0:
                break
            if document.strip():
                taken.append(document)
    return taken


if __name__ == "__main__":
    sys.exit(main())
