"""Configs as far as programs depend on them: where `computed` is equal, programs are shared."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import fields, replace
from typing import TypeVar

Options = TypeVar("Options")


def without(options: Options, names: Container[str]) -> Options:
    """A dataclass with the defaults of the fields named."""
    found = fields(options)  # type: ignore[arg-type]
    return replace(options, **{f.name: f.default for f in found if f.name in names})  # type: ignore[type-var]
