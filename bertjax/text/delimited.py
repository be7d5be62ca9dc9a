"""Tables with a separator: CSV, TSV and their relatives, as programs write them.

How a file is written is decided once for all of it: its separator by the columns that are asked
for, its quotes by whether they are balanced everywhere.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from bertjax.errors import UserError
from bertjax.text.account import MissingColumn, Problem, check_once
from bertjax.text.stored import text_lines

_USUAL = {"csv": ",;\t|", "tsv": "\t,;|"}  # separators, the likeliest first
_EXCEL = re.compile(r'"?sep=(.)"?\r?\n')
csv.field_size_limit(2**31 - 1)  # a court decision is longer than the default, 131,072
_LONE_RETURN = re.compile(r"\r(?!\n)")
_LOOKED_AT = 1 << 16  # characters by which the separator of a table without a header is told

Cells = tuple[int, list[str]]  # the number of a row's first line, and its fields


@dataclass(frozen=True)
class Form:
    """How a table is written; what is empty or `auto` is told by the table itself."""

    header: bool = True  # the first line names the columns
    separator: str = ""  # of several characters, quotes are literal
    quotes: str = "auto"  # literal: text like any other | doubled, backslash: how a field has one
    settable: bool = True  # whether a person can say so; of a corpus nobody can

    def fix(self, option: str) -> str:
        """What to do where the form is not told: set an option where there are any."""
        return option if self.settable else "give the texts as JSON Lines or Parquet"


def read_delimited(
    name: str, text: str, columns: Sequence[str], layout: str, form: Form
) -> Iterator[tuple[str, dict[str, str] | Problem]]:
    """The rows of a table by the names of their fields; the place of each is `name:line`.

    Without a header, fields are named 1 to n and -n to -1. `layout` is csv or tsv. A row that is
    broken over two lines without quotes is a `Problem` as a whole.

    Raises:
        UserError: the file is empty, is not written as its beginning says, or lacks a column.
    """
    before = 0
    if match := _EXCEL.match(text):
        form = replace(form, separator=form.separator or match[1])
        text, before = text[match.end() :], 1
    if not text.strip("\r\n"):
        raise UserError(f"{name}: the file is empty: give one with rows")
    # A return amid the lines ends none (pandas writes such without quotes), but would to csv.
    stand_in = next(chr(c) for c in range(0xE000, 0xF8FF) if chr(c) not in text)
    text = _LONE_RETURN.sub(stand_in, text)
    form = _settled(name, text, columns, layout, form, stand_in)
    literal = form.quotes == "literal"
    rows = list(_literal(text, form) if literal else _quoted(name, text, form))
    width = len(rows[0][1])
    broken = _broken(rows, width) if literal else {}
    names, rows = _names(name, rows, columns, form.header, before)
    other = ""  # where the columns that follow stand in another order
    for line, cells in rows:
        place = f"{name}:{line + before}"
        if line in broken:
            yield place, Problem("ragged", broken[line])
        elif len(cells) != len(names) // (1 if form.header else 2):
            said = f"{len(cells)} fields where the first line has {width}"
            yield place, Problem("ragged", said + _quote_hint(cells, form))
        elif form.header and _lowered(cells) == _lowered(names):
            other = ""
            yield place, Problem("header again", "the header once more, amid the rows")
        elif form.header and sorted(_lowered(cells)) == sorted(_lowered(names)):
            other = place
            said = "the header once more, its columns in another order: put them in one order"
            yield place, Problem("columns in another order", said)
        elif other:
            said = f"below the header at {other}, whose columns stand in another order"
            yield place, Problem("columns in another order", said)
        else:
            cells = [cell.replace(stand_in, "\r") for cell in cells]
            yield place, dict(zip(names, cells if form.header else cells * 2, strict=True))


def _lowered(cells: Sequence[str]) -> list[str]:
    return [cell.strip().lower() for cell in cells]


def _settled(
    name: str, text: str, columns: Sequence[str], layout: str, form: Form, stand_in: str
) -> Form:
    """The form with nothing left to be told by the table; `stand_in`: of returns in fields."""
    separator = form.separator or _separator(text, columns if form.header else (), _USUAL[layout])
    if form.quotes != "auto":
        return replace(form, separator=separator)
    quotes = "literal"
    if '"' in text and len(separator) == 1:
        doubled, backslash = (_is_balanced(text, separator, how) for how in _IN_QUOTES)
        if layout == "csv":
            quotes = "backslash" if backslash and not doubled else "doubled"
            if quotes == "doubled" and not doubled and _is_balanced(text, separator, quotes, " *+"):
                quotes = "spaced"
        elif doubled and _needs_quotes(name, text, separator, '""|"[^"]*' + stand_in, form):
            quotes = "doubled"
        elif backslash and _needs_quotes(name, text, separator, r"\\\"", form):
            quotes = "backslash"
    return replace(form, separator=separator, quotes=quotes)


def _separator(text: str, columns: Sequence[str], usual: str) -> str:
    """The separator that gives all columns or, without a header, rows of one width."""
    first = text.lstrip("\r\n").split("\n", 1)[0]
    fields = {separator: _cut(first, separator) for separator in usual}
    if columns:
        for separator in usual:
            if set(columns) <= set(fields[separator]):
                return separator
    else:
        head = text[:_LOOKED_AT].rpartition("\n")[0] or text
        for separator in usual:
            widths = {len(_cut(line, separator)) for line in text_lines(head) if line}
            if len(widths) == 1 and max(widths) > 1:
                return separator
    if len(fields[usual[0]]) > 1:
        return usual[0]
    return max(usual, key=lambda separator: len(fields[separator]))


def _cut(line: str, separator: str) -> list[str]:
    try:
        cells = next(csv.reader([line], delimiter=separator), [])
    except csv.Error:  # a carriage return amid the line
        cells = line.split(separator)
    return [cell.strip() for cell in cells]


_IN_QUOTES = {"doubled": r'[^"]++|""', "backslash": r'[^"\\]++|\\.'}


def _is_balanced(text: str, separator: str, how: str, space: str = "") -> bool:
    """Whether every field with a quote in it is in quotes, from its beginning to its end."""
    separator = re.escape(separator)
    field = rf'(?:{space}"(?:{_IN_QUOTES[how]})*+"|[^"\r\n{separator}]*+)'
    whole = rf"(?:{field}(?:{separator}|\r?\n|\r))*+{field}"
    return re.fullmatch(whole, text, re.DOTALL) is not None


def _needs_quotes(name: str, text: str, separator: str, inner: str, form: Form) -> bool:
    """Whether the balanced quotes of a TSV must be those of a writer, and no text.

    Text has quotes around a whole field now and then; only a writer leaves `inner`, a pattern, in
    it, puts the names of columns in quotes, or lets lines of different widths come about. Where
    quotes reach from one field to another and lines are of one width, both readings make sense.
    """
    lines = [line for line in text_lines(text) if line]
    if (
        re.search(inner, text)
        or '"' in lines[0]
        or len({line.count(separator) for line in lines}) > 1
    ):
        return True
    for line in lines:
        if any(field.count('"') % 2 for field in line.split(separator)):
            raise UserError(
                f"{name}: the quote in {line[:60]!r} may be text, or begin a field that goes on "
                f"to the next quote: {form.fix('set data.quotes=literal or data.quotes=doubled')}"
            )
    return False


def _literal(text: str, form: Form) -> Iterator[Cells]:
    for line, row in enumerate(text_lines(text), start=1):
        if row:
            yield line, row.split(form.separator)


def _quoted(name: str, text: str, form: Form) -> Iterator[Cells]:
    backslash = form.quotes == "backslash"
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=form.separator,
        doublequote=not backslash,
        escapechar="\\" if backslash else None,
        skipinitialspace=form.quotes == "spaced",
        strict=True,
    )  # RFC 4180
    line = 1
    try:
        for cells in reader:
            if cells:
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        fix = form.fix("set data.quotes=literal if quotes are text, data.layout=tsv for tabs")
        raise UserError(
            f"{name}:{line}: not CSV from here on ({error}): double the quotes inside quoted "
            f"fields, or {fix}"
        ) from None


def _broken(rows: Sequence[Cells], width: int) -> dict[int, str]:
    """Lines of rows that a line break cuts in two, and what is wrong with each.

    A line without a separator is the beginning of the row after it where the first column holds
    the longer texts, else the end of the row before it.
    """
    whole = [cells for _, cells in rows[1:] if len(cells) == width]
    last = sum(len(cells[-1]) for cells in whole) > sum(len(cells[0]) for cells in whole)
    found: dict[int, str] = {}
    for i, (line, cells) in enumerate(rows):
        other = i - 1 if last else i + 1
        if i and len(cells) == 1 < width and 0 < other < len(rows):
            near, its_cells = rows[other]
            if len(its_cells) == width:
                found[near] = f"a part of the row that is broken at line {line}"
    return found


def _quote_hint(cells: Sequence[str], form: Form) -> str:
    if sum(cell.count('"') for cell in cells) % 2:
        fix = form.fix("set data.quotes=doubled if fields are in quotes")
        return f" (a quote is open: {fix})"
    return ""


def _names(
    name: str, rows: list[Cells], columns: Sequence[str], header: bool, before: int
) -> tuple[list[str], list[Cells]]:
    """The names of the fields, and the rows that hold values.

    Rows that all have a field more than the header begin with R's row names or end with a
    separator.
    """
    line, first = rows[0]
    place = f"{name}:{line + before}"
    if not header:
        names = [str(i) for i in (*range(1, len(first) + 1), *range(-len(first), 0))]
        check_columns(place, columns, names, header)
        return names, rows
    names, rest = [cell.strip() for cell in first], rows[1:]
    if rest and all(len(cells) == len(names) + 1 for _, cells in rest):
        if all(not cells[-1] for _, cells in rest):
            rest = [(line, cells[:-1]) for line, cells in rest]
        else:
            names = ["", *names]
    check_columns(place, columns, names, header)
    return names, rest


def check_columns(place: str, columns: Sequence[str], names: Sequence[str], header: bool) -> None:
    """Raise UserError for a column that is not there, or is there twice."""
    for column in columns:
        if column not in names and header:
            more = " (if this line is no header, set data.header=false and name columns by number)"
            raise MissingColumn(place, column, names, "the header has ", more)
        if column not in names:
            raise UserError(
                f"{place}: no column {column!r} in {len(names) // 2} fields: without a header "
                f"use 1 to {len(names) // 2}, or -1 for the last"
            )
        check_once(place, column, names)
