"""Every option of a config with its value and what it means, read off the dataclasses.

What a field means is the comment beside it.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import io
import tokenize
from collections.abc import Iterator
from typing import Any, NamedTuple

from bertjax.config.before import no_option


class Option(NamedTuple):
    """A field that can be set."""

    name: str  # dotted, as it is typed
    value: str  # as it is typed
    meaning: str


def options(config: Any, prefix: str = "") -> Iterator[Option]:
    """Every option of a config, in the order of declaration; of `phases` those of each entry."""
    meanings = _comments(type(config))
    for field in dataclasses.fields(config):
        name, value = prefix + field.name, getattr(config, field.name)
        entries = {f"{name}.{i}.": entry for i, entry in enumerate(_entries(value))}
        if dataclasses.is_dataclass(value):
            entries = {f"{name}.": value}
        if not entries and not no_option(name):
            yield Option(name, _typed(value), meanings.get(field.name, ""))
        for inner, entry in entries.items():
            yield from options(entry, inner)


def _entries(value: Any) -> tuple[Any, ...]:
    """The sections of a tuple of them."""
    if isinstance(value, tuple) and all(map(dataclasses.is_dataclass, value)):
        return value
    return ()


def _typed(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(_typed, value)) if isinstance(value, tuple) else str(value)


def _comments(cls: type) -> dict[str, str]:
    """The comment of each field of a dataclass."""
    source = inspect.getsource(cls)
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = {t.start[0]: t.string.lstrip("# ") for t in tokens if t.type == tokenize.COMMENT}
    found = {}
    (body,) = ast.parse(source).body
    assert isinstance(body, ast.ClassDef)
    for node in body.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found[node.target.id] = comments.get(node.end_lineno or node.lineno, "")
    return found
