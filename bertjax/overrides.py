"""Configs in and out: dotted overrides, JSON and differences.

Works on any tree of frozen dataclasses whose fields are bool, int, float, str, another such
dataclass or a `tuple[X, ...]` of those. A config that comes with a run, checkpoint or export is
JSON and is only ever checked against the dataclasses.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import json
import math
import os
import typing
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from bertjax.config.before import as_today, holds_anyway, no_option
from bertjax.errors import UserError

T = TypeVar("T")

MAX_JSON_CHARACTERS = 1 << 20  # a resolved config is about 3,000
_BOOLEANS = {"true": True, "false": False}


def apply_overrides(config: T, items: Sequence[str], **sections: Any) -> T:
    """Return `config` with fields replaced, e.g. `["optim.learning_rate=1e-3"]`.

    `sections`, whole ones by name, take the place of the config's before the items do.

    Names are dotted, a whole number picks an entry of a tuple (`data.phases.0.seq_len=64`), and
    the field's declared type decides how the text is read. A tuple is given whole, as JSON or, if
    its entries are no sections, with commas between them (`tune.seeds=0,1,2`); no text is an empty
    tuple. All items are applied before anything is validated, so two that only make sense together
    may come in either order; of two for one field, the later wins.

    Raises:
        UserError: there is no such field, its type cannot be read so, or the config refuses it.
    """
    tree = _encode(config) | {name: _encode(section) for name, section in sections.items()}
    no_fields: list[tuple[str, str, str]] = []
    for item in items:
        name, equals, text = item.partition("=")
        if not equals or not name:
            raise UserError(f"override {item!r} is not name=value: write e.g. train.steps=1000")
        if instead := no_option(name):
            no_fields.append((name, text, instead))
        else:
            _assign(type(config), tree, name, os.path.expanduser(text))
    made = _decode(type(config), tree, "")
    for name, text, instead in no_fields:
        if not holds_anyway(made, name, text):
            raise UserError(f"{name} is no option: {instead}")
    return made


def to_json(config: Any) -> str:
    """Write a config as indented JSON, keys in the order of declaration; same config, same text."""
    try:
        return json.dumps(_encode(config), indent=2, allow_nan=False) + "\n"
    except ValueError:
        name, value = next((n, v) for n, v in _leaves(config) if _is_non_finite(v))
        raise UserError(f"{name}={value} cannot be stored: use a finite number") from None


def from_json(cls: type[T], text: str) -> T:
    """Rebuild a `cls` from `to_json`'s text; a key left out takes its default.

    Raises UserError for text that is too long, is nested too deeply or is not JSON, for unknown,
    repeated or missing keys, and for values of another type than the field's.
    """
    if len(text) > MAX_JSON_CHARACTERS:
        raise UserError(
            f"the config is {len(text):,} characters of JSON: at most {MAX_JSON_CHARACTERS:,}"
        )
    return _decode(cls, _parse_json(text, "the config"), "")


def read_config(cls: type[T], path: Path) -> T:
    """The config that a run keeps in a file.

    Raises UserError, which names the file, where it cannot be read and where `from_json` does.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise UserError(f"config {path} cannot be read ({reason}): give a file") from None
    try:
        return from_json(cls, text)
    except UserError as error:
        raise UserError(f"config {path}: {error}") from None


def describe_difference(a: Any, b: Any) -> list[str]:
    """List the fields in which two configs differ: `"optim.learning_rate: 0.0001 -> 0.001"`."""
    before, after = dict(_leaves(a)), dict(_leaves(b))
    return [
        f"{name}: {_show(before, name)} -> {_show(after, name)}"
        for name in dict.fromkeys([*before, *after])
        if name not in before or name not in after or before[name] != after[name]
    ]


def _show(leaves: dict[str, Any], name: str) -> str:
    return json.dumps(leaves[name], ensure_ascii=False) if name in leaves else "absent"


# From dataclasses to JSON values and back.


@functools.cache
def _field_types(cls: type) -> dict[str, Any]:
    hints = typing.get_type_hints(cls)
    return {f.name: hints[f.name] for f in dataclasses.fields(cls)}


def _encode(value: Any) -> Any:
    """Turn a config value into what `json` can write."""
    if dataclasses.is_dataclass(value):
        return {f.name: _encode(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, list | tuple):
        return [_encode(v) for v in value]
    if isinstance(value, bool | int | float | str):
        return value
    raise UserError(f"{value!r} in a config: use true or false, numbers, text or tuples of them")


def _decode(declared: Any, value: Any, name: str) -> Any:
    """Build a value of the `declared` type from a JSON `value`; `name` is for messages."""
    if dataclasses.is_dataclass(declared):
        return _decode_dataclass(typing.cast(type, declared), value, name)
    if typing.get_origin(declared) is tuple:
        if not isinstance(value, list):
            raise UserError(f"{name}={_brief(value)} is not a list: write e.g. [{{...}}]")
        element = typing.get_args(declared)[0]
        return tuple(_decode(element, v, f"{name}.{i}") for i, v in enumerate(value))
    if declared is float and type(value) is int and abs(value) <= 2**53:
        value = float(value)
    if type(value) is not declared:  # not isinstance: a bool is no int here
        raise UserError(f"{name}={_brief(value)} has the wrong type: it takes {_hint(declared)}")
    if _is_non_finite(value):
        raise UserError(f"{name}={value} is not a finite number: use one")
    return value


def _decode_dataclass(cls: type, value: Any, name: str) -> Any:
    if not isinstance(value, dict):
        raise UserError(f"{name or 'config'}={_brief(value)} is not a section: it takes {{...}}")
    value, field_types = as_today(cls, value), _field_types(cls)
    prefix = f"{name}." if name else ""
    for key in value:
        if key not in field_types:
            raise _unknown(prefix + key, [prefix + n for n in field_types])
    for f in dataclasses.fields(cls):
        has_default = f.default is not f.default_factory  # both MISSING when there is none
        if f.name not in value and not has_default:
            raise UserError(f"{prefix}{f.name} is missing and has no default: add it")
    return cls(**{k: _decode(field_types[k], v, prefix + k) for k, v in value.items()})


def _parse_json(text: str, name: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_unique_keys, parse_constant=_no_constant)
    except RecursionError:
        raise UserError(f"{name} is nested too deeply for a config: check the JSON") from None
    except ValueError as error:
        raise UserError(f"{name} is not valid JSON ({error}): correct it") from None


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key is given twice")
    return result


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is not a finite number")


def _is_non_finite(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


# Overrides.


def _assign(cls: type, tree: Any, name: str, text: str) -> None:
    """Set the field called `name` in the encoded config `tree` from the user's `text`."""
    declared: Any = cls
    node, keys = tree, name.split(".")
    for depth, key in enumerate(keys):
        parent = ".".join(keys[:depth])
        index: str | int = key
        if dataclasses.is_dataclass(declared):
            if key not in _field_types(typing.cast(type, declared)):
                raise _unknown(name, list(_names(cls, tree)))
            declared = _field_types(typing.cast(type, declared))[key]
        elif typing.get_origin(declared) is tuple and key.isdecimal() and len(key) < 10:
            index = int(key)
            if index >= len(node):
                raise UserError(f"{name}: {parent} has {len(node)} entries, counted from 0")
            declared = typing.get_args(declared)[0]
        else:
            raise _unknown(name, list(_names(cls, tree)))
        if depth == len(keys) - 1:
            node[index] = _read_text(declared, text, name)
        node = node[index]


def _read_text(declared: Any, text: str, name: str) -> Any:
    if dataclasses.is_dataclass(declared):
        fields = ", ".join(_field_types(typing.cast(type, declared)))
        raise UserError(f"{name} is a section: set one of its fields ({name}.…): {fields}")
    if declared is str:
        return text
    if typing.get_origin(declared) is tuple:
        element = typing.get_args(declared)[0]
        sections = dataclasses.is_dataclass(element)
        if not text.strip() or not (sections or text.lstrip().startswith("[")):
            parts = [part.strip() for part in text.split(",") if part.strip()]
            return [_read_text(element, part, name) for part in parts]
        value = _parse_json(text[:MAX_JSON_CHARACTERS], name)
        # Checked and completed here, so that a later item finds entries with all their fields.
        return _encode(_decode(declared, value, name))
    try:
        if declared is int and float(text).is_integer() and abs(float(text)) <= 2**53:
            return int(text) if "e" not in text.lower() else int(float(text))
        return _BOOLEANS[text.lower()] if declared is bool else declared(text)
    except (KeyError, ValueError):
        raise UserError(f"{name}={text!r} cannot be read: it takes {_hint(declared)}") from None


def _hint(declared: Any) -> str:
    return {
        bool: "true or false",
        int: "a whole number such as 1000 or 1_000",
        float: "a number such as 0.1 or 1e-4",
        str: "text",
    }[declared]


def _names(declared: Any, tree: Any, prefix: str = "") -> Iterator[str]:
    """Yield the dotted name of every field that can be set, tuple entries included."""
    if dataclasses.is_dataclass(declared):
        for key, inner in _field_types(typing.cast(type, declared)).items():
            yield from _names(inner, tree[key], f"{prefix}.{key}" if prefix else key)
        return
    yield prefix
    if typing.get_origin(declared) is tuple:
        for i, entry in enumerate(tree):
            yield from _names(typing.get_args(declared)[0], entry, f"{prefix}.{i}")


def _unknown(typed: str, names: list[str]) -> UserError:
    best = max(names, key=lambda name: _likeness(typed, name))
    return UserError(f"{typed[:200]} is not an option: did you mean {best}?")


def _likeness(typed: str, name: str) -> tuple[float, float]:
    """Rank `name` as what `typed` meant: right last part, a slip, its initials (`lr`), spelling."""
    typed_leaf, leaf = typed.rpartition(".")[2], name.rpartition(".")[2]
    initials = "".join(word[:1] for word in leaf.split("_"))
    whole = _ratio(typed, name)
    if typed_leaf == leaf:
        return 1.0, whole
    # Below one slip of a letter in nine.
    by_initials = 0.88 if typed_leaf == initials else 0.0
    return max(by_initials, whole, _ratio(typed_leaf, leaf)), whole


def _ratio(a: str, b: str) -> float:
    return difflib.SequenceMatcher(None, a[:200], b, autojunk=False).ratio()


# Messages.


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted name, value) of every scalar in a config."""
    entries: Any = None
    if dataclasses.is_dataclass(value):
        entries = ((f.name, getattr(value, f.name)) for f in dataclasses.fields(value))
    elif isinstance(value, list | tuple):
        entries = enumerate(value)
    if entries is None:
        yield name, value
        return
    for key, inner in entries:
        yield from _leaves(inner, f"{name}.{key}" if name else str(key))


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
