"""The recipes that come with bertjax, by name.

A checkout has them in `configs/` beside the package, a wheel in `bertjax/configs/`.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import NamedTuple, TypeVar

from bertjax.config import AblationConfig, FinetuneConfig, PretrainConfig
from bertjax.errors import UserError, nearest
from bertjax.recipes.files import load_config

T = TypeVar("T")


class Shelf(NamedTuple):
    """Recipes of one kind."""

    folder: str  # in configs/
    verb: str  # whose --config takes them


_SHELVES = {
    PretrainConfig: Shelf("", "pretrain"),
    FinetuneConfig: Shelf("finetune", "finetune"),
    AblationConfig: Shelf("ablations", "ablate"),
}
SHELVES = tuple(_SHELVES.values())


class About(NamedTuple):
    """What a recipe's docstring says first of each, in a line; empty where it does not."""

    title: str
    budget: str
    source: str


def recipes(shelf: Shelf) -> dict[str, Path]:
    """The files of a shelf by name, in order."""
    package = Path(__file__).parents[1]
    inside = package / "configs"
    configs = inside if inside.is_dir() else package.parent / "configs"
    return {file.stem: file for file in sorted((configs / shelf.folder).glob("*.py"))}


def load_recipe(given: str | Path, expected: type[T], name: str = "--config") -> T:
    """Load a recipe by its name, such as `bert_base`, or from a file.

    Args:
        given: the name, or a file: a `Path`, or text with a slash in it or with .py or .json at its
            end.
        expected: the class of its config, such as `bertjax.PretrainConfig`.
        name: what the user gave the recipe as, for messages.

    Raises:
        UserError: no recipe of that kind has the name, or the file holds no such config.
    """
    shelf, path = _SHELVES[expected], Path(given).expanduser()
    known = recipes(shelf)
    if not isinstance(given, Path) and path.suffix not in (".py", ".json") and "/" not in given:
        if given not in known:
            raise UserError(f"{name} {given}: {_instead(given, shelf, known)}")
        path = known[given]
    elif not path.exists() and path.stem in known:
        raise UserError(
            f"{name} {path}: there is no such file; the recipe of bertjax is called {path.stem}"
        )
    return load_config(path, expected)


def _instead(name: str, shelf: Shelf, known: dict[str, Path]) -> str:
    """What to give instead of a name that no recipe of the shelf has."""
    other = next((one.verb for one in SHELVES if name in recipes(one)), None)
    if other is not None:
        return f"this is a recipe of `bertjax {other}`: give one of {shelf.verb}"
    if Path(name).is_file():
        return f"no recipe has that name: give ./{name} for the file"
    return f"no recipe of {shelf.verb} has that name: {nearest(name, known)}"


def about(file: Path) -> About:
    """What the docstring of a recipe says, read without running the file."""
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    title, _, rest = text.partition("\n\n")

    def first(field: str) -> str:
        """The first statement of a paragraph, without the function that has the numbers."""
        ends = r";|\.$|\. [A-Z]|,\s`bertjax"
        found = re.search(rf"^{field}: (.+?)(?:{ends})", rest, re.M | re.S)
        return " ".join(found[1].split()) if found else ""

    return About(" ".join(title.split()).rstrip("."), first("(?:Token b|B)udget"), first("Source"))
