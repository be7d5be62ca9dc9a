"""What was read, what was left out and what looks odd, for the closing line of a command."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from bertjax.errors import UserError, nearest, printable

# How a user of `prepare` and `adapt` names the field or column with the text.
NAMED_BY = "with --text-field, or FILE:FIELD of --probes"


class Problem(ValueError):
    """What makes a record or a document unusable; `kind` is how such ones are counted."""

    def __init__(self, kind: str, text: str, place: str = ""):
        super().__init__(text)
        self.kind = kind
        self.place = place  # where it stands, if whoever raises it knows better


class MissingColumn(UserError):
    """A table that lacks a column that was asked for."""

    def __init__(
        self, place: str, column: str, names: Iterable[str], where: str = "", more: str = ""
    ):
        self.place, self.column, self.names = place, column, [str(name) for name in names]
        missing = f"{where}no column {column!r}: {nearest(column, self.names)}"
        super().__init__(f"{place}: {missing}{more}")


def check_once(place: str, column: str, names: Sequence[str]) -> None:
    """Raise UserError for a column whose name several have."""
    if (times := names.count(column)) > 1:
        raise UserError(f"{place}: the header has {column!r} {times} times: rename all but one")


@dataclass
class Account:
    """Refuses what cannot be used, or counts it by kind where the user asked for that."""

    skip: bool = False
    hint: str = ""  # how such records are left out, for the message that refuses one
    read: Counter[str] = field(default_factory=Counter)  # files, by layout
    left: Counter[str] = field(default_factory=Counter)  # by kind, what the user let us leave out
    aside: Counter[str] = field(default_factory=Counter)  # by kind, what is never read
    first: str = ""  # the first of `left`: where it stands and what is wrong with it
    notes: list[str] = field(default_factory=list)  # what is read, but looks wrong

    @property
    def count(self) -> int:
        """How many records or documents were left out."""
        return self.left.total()

    def leave(self, place: str, problem: Problem, count: int = 1) -> None:
        """Count the record at `place`; raise UserError where none may be left out."""
        where = problem.place or place
        if not self.skip:
            raise UserError(f"{where}: {problem}{self.hint}")
        self.left[problem.kind] += count
        self.first = self.first or f"{where}: {problem}"

    def note(self, text: str) -> None:
        """Keep a remark, once."""
        if text not in self.notes:
            self.notes.append(text)

    def add(self, later: Account) -> None:
        """Take over what was counted of a later part."""
        self.read += later.read
        self.left += later.left
        self.aside += later.aside
        self.first = self.first or later.first
        for text in later.notes:
            self.note(text)

    def lines(self) -> list[tuple[str, str]]:
        """The closing lines, each a word that begins it and the rest."""
        made = []
        if self.read:
            made.append(("read", f"files: {_counted(self.read)}"))
        if self.left:
            what = f"{self.count:,} ({_counted(self.left)}), the first: {self.first}"
            made.append(("left out", what))
        if self.aside:
            kinds = (f"{kind} ({number:,})" for kind, number in self.aside.most_common())
            made.append(("not read", ", ".join(kinds)))
        made += [("note", text) for text in self.notes]
        return [(word, printable(text)) for word, text in made]


def _counted(kinds: Counter[str]) -> str:
    """`3 not JSON, 1 blank`, the most frequent kind first."""
    return ", ".join(f"{number:,} {kind}" for kind, number in kinds.most_common())
