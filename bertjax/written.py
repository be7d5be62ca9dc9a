"""JSON that bertjax wrote, read back: a damaged file is one line with its name, not a traceback.

A form says what a value must be: a type, None, or one text; `[form]`, a list of such values, and
a list of several forms, one with just so many;
`{str: form}`, an object with such values under any names; an object of forms, one with these
fields, of which those whose names end in `?` may be missing, and others may stand beside; a tuple
of forms, one of these.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bertjax.errors import UserError

_TOO_LARGE = 1 << 64  # of an integer: nothing is counted so far, and floats end
LARGEST = 1e100  # of a number that is drawn or squared: what comes of it is a float still
NUMBER = (int, float)
NULLABLE = (*NUMBER, None)  # a number, or null for one that is not finite
TEXT = (str, None)
_NAMES: dict[Any, str] = {
    str: "text", int: "a whole number", float: "a number", dict: "an object", list: "a list",
    bool: "true or false", None: "null",
}  # fmt: skip


def read(path: Path, form: Any) -> Any:
    """The value in a file.

    Raises:
        UserError: the file cannot be read, is not JSON, or its value is not of `form`.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): copy it again") from None
    except (ValueError, RecursionError) as error:
        raise damaged(path, str(error)) from None
    if wrong := differs(value, form):
        raise damaged(path, wrong)
    return value


def damaged(path: Path, wrong: str) -> UserError:
    """What to raise where a file is not what bertjax wrote."""
    return UserError(f"{path} is damaged ({wrong}): copy it again")


def differs(value: Any, form: Any) -> str:
    """How a value is not of a form; empty where it is."""
    return next(_wrong(value, form, ""), "")


def lines(path: Path, form: Any) -> list[Any]:
    """The values of the lines of a file; torn lines and those that are not of `form` are no lines.

    A file that is not there has none. Raises UserError for one that cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): copy it again") from None
    found = []
    for line in text.split("\n"):
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if not differs(value, form):
            found.append(value)
    return found


def _wrong(value: Any, form: Any, place: str) -> Iterator[str]:
    """What in a value is not of a form."""
    if isinstance(form, tuple):
        found = [list(_wrong(value, one, place)) for one in form]
        if all(found):
            yield found[0][0] if isinstance(form[0], dict) else _not(value, form, place)
    elif isinstance(form, list) and isinstance(value, list):
        if len(form) not in (1, len(value)):
            yield f"{place or 'it'} has {len(value)} values, not {len(form)}"
        for i, item in enumerate(value):
            yield from _wrong(item, form[min(i, len(form) - 1)], _at(place, i))
    elif isinstance(form, dict) and isinstance(value, dict):
        named = dict.fromkeys(value, form[str]) if str in form else form
        for name, inner in named.items():
            field = name if str in form else name.removesuffix("?")
            if field in value:
                yield from _wrong(value[field], inner, _at(place, field))
            elif field == name:
                yield f"{place or 'it'} has no {field!r}"
    elif isinstance(form, type):
        is_odd = isinstance(value, bool) and form is not bool
        is_odd = is_odd or (isinstance(value, int) and abs(value) >= _TOO_LARGE)
        if is_odd or not isinstance(value, form):
            yield _not(value, (form,), place)
    elif form is None or isinstance(form, str):
        if value != form:
            yield _not(value, (form,), place)
    else:
        yield _not(value, (type(form),), place)


def _not(value: Any, forms: tuple[Any, ...], place: str) -> str:
    kinds = (type(form) if isinstance(form, list | dict) else form for form in forms)
    wanted = dict.fromkeys(_NAMES.get(kind, repr(kind)) for kind in kinds)
    return f"{place or 'it'} is {value!r:.40}, not {' or '.join(wanted)}"


def _at(place: str, name: Any) -> str:
    return f"{place}.{name}" if place else f"{name}"
