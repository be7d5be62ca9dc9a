"""Configs in files: recipes and the stored configs of runs.

Python is run for one thing, a recipe file that the user names.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
import traceback
import types
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from bertjax.errors import UserError
from bertjax.overrides import from_json, read_config, to_json

T = TypeVar("T")


def load_config(path: Path, expected: type[T]) -> T:
    """Load a recipe (`.py`, which is run) or the stored config of a run (`.json`).

    Raises UserError where `read_config` and `load_config_file` do.
    """
    if path.suffix != ".json":
        return load_config_file(path, expected)
    try:
        return read_config(expected, path)
    except UserError:
        if not path.is_file() or b'"model_type"' not in path.read_bytes():
            raise
    raise UserError(
        f"config {path} is that of a Hugging Face model: give its directory to --init, and a "
        "recipe such as bert_base to --config"
    )


def load_config_file(path: str | Path, expected: type[T]) -> T:
    """Run the Python recipe at `path` and return what its `get_config()` returns.

    The result has been through JSON, so what is trained is exactly what will be stored. A recipe
    may import modules that lie beside it. Raises UserError, naming file and line, for whatever goes
    wrong inside the recipe.
    """
    path = Path(path)
    try:
        source = path.read_bytes()
    except OSError as error:
        raise UserError(f"config {path} cannot be read ({error.strerror}): give a file") from None
    module = types.ModuleType("bertjax_recipe")
    module.__file__ = str(path)
    try:
        with _importing_beside(path):
            exec(compile(source, str(path), "exec"), module.__dict__)
            get_config = getattr(module, "get_config", None)
            config = get_config() if callable(get_config) else None
    except (Exception, SystemExit) as error:
        raise UserError(f"config {_place_of(error, path)}: {_one_line(error)}") from None
    if not callable(get_config):
        raise UserError(
            f"config {path} has no get_config(): define one that returns a {expected.__name__}"
        )
    if not isinstance(config, expected):
        raise UserError(
            f"config {path}: get_config() returned {type(config).__name__}: "
            f"it must return a {expected.__name__}"
        )
    return from_json(expected, to_json(config))


@contextlib.contextmanager
def _importing_beside(path: Path) -> Iterator[None]:
    """Let `import base` find base.py beside `path`, as in a program that is run there.

    What was imported from there is forgotten, as another folder may have a base.py too.
    """
    folder, before = str(path.absolute().parent), set(sys.modules)
    sys.path.insert(0, folder)
    importlib.invalidate_caches()  # files may have been written since a folder was last read
    try:
        yield
    finally:
        sys.path.remove(folder)
        for name in set(sys.modules) - before:
            file = getattr(sys.modules[name], "__file__", None) or ""
            if Path(file).parent == Path(folder):
                del sys.modules[name]


def _place_of(error: BaseException, path: Path) -> str:
    """Say where in the recipe `error` arose: the deepest line of it in the traceback."""
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
    if isinstance(error, SyntaxError) and error.filename == str(path):
        lines.append(error.lineno)
    return f"{path}, line {lines[-1]}" if lines else str(path)


def _one_line(error: BaseException) -> str:
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    text = " ".join(text.split())
    return text if isinstance(error, UserError) else f"{type(error).__name__}: {text}"
