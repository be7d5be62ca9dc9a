"""What every config asks of its values; each failure is one line with the value and the limit."""

from __future__ import annotations

from bertjax.errors import UserError, nearest


def require(ok: bool, message: str) -> None:
    """Raise a UserError with `message` unless `ok`."""
    if not ok:
        raise UserError(message)


def typed(values: tuple[float, ...]) -> str:
    """Numbers as they are typed."""
    return ",".join(f"{value:g}" for value in values)


def one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Require a known name."""
    if value not in choices:
        raise UserError(f"{name}={value!r} is not known: {nearest(value, choices)}")


def within(name: str, value: float, low: float, high: float) -> None:
    """Require `low` ≤ `value` ≤ `high`."""
    require(low <= value <= high, f"{name}={value} is out of range: use {low} to {high}")
