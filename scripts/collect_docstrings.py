"""Write English that every machine with bertjax has: the Python language reference (from
`pydoc_data.topics`) and the docstrings of the standard library and of installed packages.

    python scripts/collect_docstrings.py OUT.txt

One document a topic or docstring, blank line between documents, paragraphs joined to lines;
doctests, tables and code are left out. Files are parsed, never imported. In order of path, so the
same packages give the same bytes.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import itertools
import re
import sys
import sysconfig
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

PACKAGES = [
    "numpy",
    "scipy",
    "jax",
    "flax",
    "optax",
    "orbax",
    "absl",
    "etils",
    "pyarrow",
    "fsspec",
    "requests",
    "rich",
    "pygments",
    "pip",
    "google",
    "packaging",
    "setuptools",
    "attrs",
    "typing_extensions",
]
SHORTEST = 40  # characters of a document worth keeping

_CODE = re.compile(r"^\s*(>>>|\.\.\.|\$ |\.\. |:[\w ]+:|[-=~^*#+|_]{3,}|@|\||\+-)")
_WORDS = re.compile(r"[A-Za-z]{2,}")


def roots() -> list[Path]:
    """The standard library, then each package that is installed."""
    found = [Path(sysconfig.get_path("stdlib"))]
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.submodule_search_locations:
            found.append(Path(next(iter(spec.submodule_search_locations))))
    return found


def sources(root: Path) -> list[Path]:
    """Every module below `root` that is not a test, in order of path."""
    left_out = {"site-packages", "dist-packages", "test", "tests", "idlelib"}
    return [p for p in sorted(root.rglob("*.py")) if not left_out & set(p.relative_to(root).parts)]


def docstrings(path: Path) -> list[str]:
    """The prose of the docstrings of a module, its classes and functions."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd escapes in other people's strings
            tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, RecursionError):
        return []
    owners = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    found = (ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, owners))
    return [prose(text) for text in found if text]


def topics() -> Iterator[str]:
    """The chapters of the language reference that `help()` shows."""
    from pydoc_data.topics import topics as chapters

    for name in sorted(chapters):
        yield prose(inspect.cleandoc(chapters[name]))


def prose(text: str) -> str:
    """Paragraphs of English, one a line."""
    paragraphs = []
    for block in re.split(r"\n\s*\n", text):
        lines = [line for line in block.splitlines() if not _CODE.match(line)]
        printable = "".join(c if c.isprintable() else " " for c in " ".join(lines))
        line = " ".join(printable.split())
        letters = sum(len(word) for word in _WORDS.findall(line))
        if letters > 0.6 * len(line):  # else a table, a signature or code
            paragraphs.append(line)
    return "\n".join(paragraphs)


def main() -> None:
    """Write the documents and say how much text they are."""
    out = Path(sys.argv[1])
    out.parent.mkdir(parents=True, exist_ok=True)
    documents = 0
    modules = itertools.chain.from_iterable(map(sources, roots()))
    with open(out, "w", encoding="utf-8", errors="replace") as file, ProcessPoolExecutor() as pool:
        of_modules = pool.map(docstrings, modules, chunksize=32)
        for document in itertools.chain(topics(), *of_modules):
            if len(document) >= SHORTEST:
                file.write(document + "\n\n")
                documents += 1
    print(f"{out}: {documents:,} documents, {out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
