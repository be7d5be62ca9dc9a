"""Tagged sentences in columns: CoNLL in its many kinds, and CoNLL-U."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from bertjax.config import ExamplesConfig
from bertjax.errors import UserError
from bertjax.tasks.blank import is_no_word
from bertjax.text.account import Problem
from bertjax.text.stored import check_text

_SPACES = re.compile("[ \t]+")  # others, such as the wide one of Chinese, may be in a word
_BLANK = " \t"
_DOCUMENT = re.compile(r"#(begin|end) document\b")  # CoNLL-2012
_ID = re.compile(r"\d+(-\d+|\.\d+)?")  # of CoNLL-U: a word, words written as one, an empty node
_TEXT, _SENTENCE = "# text = ", "# sent_id = "


@dataclass(frozen=True)
class Sentence:
    """Words with their tags, and the line of each."""

    place: str  # "file:line" of its first word
    words: tuple[str, ...]
    tags: tuple[str, ...] | None
    lines: tuple[int, ...]
    id: str = ""  # empty: the file gives none
    problem: Problem | None = None  # what makes it unusable, if anything does
    source: str = ""  # the text in which its words stand, where the file has it


@dataclass
class _Lines:
    """The lines of a sentence so far."""

    words: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    problem: Problem | None = None
    width: int = 0
    source: str = ""
    id: str = ""

    def sentence(self, path: str, labelled: bool) -> Sentence:
        return Sentence(
            f"{path}:{self.numbers[0]}",
            tuple(self.words),
            tuple(self.tags) if labelled else None,
            tuple(self.numbers),
            self.id,
            self.problem,
            self.source,
        )


class _Columns:
    """Where word and tag stand in a line, and what a line is cut by."""

    def __init__(self, data: ExamplesConfig, treebank: bool):
        self.treebank = treebank
        self.word = _column(data.text, "text", 2 if treebank else 1)
        self.tag = _column(data.label, "label", 4 if treebank else -1)
        self.cut: Callable[[str], list[str]] = _by_tabs if treebank else _by_spaces

    def need(self, labelled: bool) -> int:
        return max(abs(self.word), abs(self.tag), 2) if labelled else abs(self.word)


def read_columns(
    path: str, lines: Sequence[str], data: ExamplesConfig, labelled: bool, layout: str
) -> Iterator[Sentence]:
    """Sentences of lines of columns, with blank lines between.

    Columns are separated by tabs in CoNLL-U, and in CoNLL where every line has one; else by
    spaces. CoNLL's word is the first column and its tag the last unless `data.text` and
    `data.label` say otherwise; in CoNLL-U they are FORM (2) and UPOS (4), and multi-word tokens
    (8-9) and empty nodes (8.1) are left out. Comments and marks of documents are no words: in
    CoNLL a line that begins a sentence with `# ` and does not end in a tag that other lines have.

    Raises:
        UserError: the first column numbers the words, and the config does not say which has them.
    """
    columns = _Columns(data, layout == "conllu")
    if not columns.treebank:
        data_lines = [line for line, kind in _kinds(lines) if kind == "data"]
        if data_lines and all("\t" in line for line in data_lines):
            columns.cut = _by_tabs
    comments = _comments(lines, columns)
    if not columns.treebank and data.text == "text":
        _refuse_numbered(path, lines, columns, comments)
    here = _Lines()
    for line_number, line in enumerate(lines, start=1):
        if line_number in comments:
            if line.startswith(_TEXT):
                here.source = line.removeprefix(_TEXT).strip()
            elif columns.treebank and line.startswith(_SENTENCE):
                here.id = line.removeprefix(_SENTENCE).strip()
            continue
        if not line.strip(_BLANK) or _is_document_mark(line, columns):
            if here.words:
                yield here.sentence(path, labelled)
            here = _Lines()
            continue
        fields = columns.cut(line)
        if not columns.treebank or fields[0].isdecimal():
            _add(here, path, line_number, fields, columns, labelled)
        elif not _ID.fullmatch(fields[0]):
            said = f"begins with {fields[0][:20]!r}, not with a word's number and a tab"
            here.problem = here.problem or Problem("ragged", said, f"{path}:{line_number}")
            here.words.append("")
            here.tags.append("")
            here.numbers.append(line_number)
    if here.words:
        yield here.sentence(path, labelled)


def _add(
    here: _Lines, path: str, number: int, fields: list[str], columns: _Columns, labelled: bool
) -> None:
    word = _field(fields, columns.word)
    tag = _field(fields, columns.tag) if labelled else ""
    here.problem = here.problem or _problem(path, number, fields, columns, labelled, here.width)
    here.width = here.width or len(fields)
    here.numbers.append(number)
    here.words.append(word)
    here.tags.append(tag)


def _problem(
    path: str, number: int, fields: list[str], columns: _Columns, labelled: bool, width: int
) -> Problem | None:
    """What is wrong with a line of words, if anything is."""
    place, need = f"{path}:{number}", columns.need(labelled)
    if len(fields) < need or (width and len(fields) != width):
        wanted = f"the lines above have {width}" if width else f"need {need}"
        return Problem("ragged", f"{len(fields)} columns, {wanted}", place)
    if is_no_word(_field(fields, columns.word)):
        return Problem("without a word", f"no word in column {columns.word}", place)
    if columns.treebank and labelled and columns.tag == 4 and fields[3] == "_":
        return Problem("without a tag", "no tag in column 4 ('_')", place)
    try:
        check_text(_field(fields, columns.word), "a word")
    except Problem as problem:
        return Problem(problem.kind, str(problem), place)
    return None


def _kinds(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each line, and whether it is blank, may be a comment, or is data."""
    beginning = True
    for line in lines:
        if not line.strip(_BLANK):
            beginning = True
            yield line, "blank"
        elif beginning and (line.startswith(("# ", "#\t")) or line.strip(_BLANK) == "#"):
            yield line, "comment?"
        elif line.startswith("-DOCSTART-") or _DOCUMENT.match(line):
            yield line, "mark"
        else:
            beginning = False
            yield line, "data"


def _comments(lines: Sequence[str], columns: _Columns) -> set[int]:
    """The numbers of lines that are comments, decided for the whole file."""
    if columns.treebank:
        return {i for i, line in enumerate(lines, start=1) if line.startswith("#")}
    kinds = list(_kinds(lines))
    data = [columns.cut(line) for line, kind in kinds if kind == "data"]
    tags = {_field(fields, columns.tag) for fields in data}
    widths = Counter(map(len, data)).most_common(1)
    width = widths[0][0] if widths else 0
    found = set()
    for number, (line, kind) in enumerate(kinds, start=1):
        if kind == "comment?":
            fields = columns.cut(line)
            is_word = len(fields) == width and (width == 1 or _field(fields, columns.tag) in tags)
            if not is_word:
                found.add(number)
    return found


def _is_document_mark(line: str, columns: _Columns) -> bool:
    if columns.treebank:
        return False
    return line.startswith("-DOCSTART-") or _DOCUMENT.match(line) is not None


def _refuse_numbered(
    path: str, lines: Sequence[str], columns: _Columns, comments: set[int]
) -> None:
    """Refuse a file whose first column counts the words of each sentence, as CoNLL-X and -U do."""
    count, longest = 0, 0
    for number, line in enumerate(lines, start=1):
        if not line.strip(_BLANK):
            count = 0
        elif number not in comments and not _is_document_mark(line, columns):
            fields = columns.cut(line)
            if _ID.fullmatch(fields[0]) and not fields[0].isdecimal():
                continue
            count += 1
            longest = max(longest, count)
            if len(fields) < 3 or fields[0] != str(count):
                return
    if longest > 1:
        raise UserError(
            f"{path}: the first column numbers the words of each sentence: set data.text to the "
            "column of the words, such as 2, or data.layout=conllu"
        )


def _by_tabs(line: str) -> list[str]:
    return [cell.strip(_BLANK) for cell in line.split("\t")]


def _by_spaces(line: str) -> list[str]:
    return _SPACES.split(line.strip(_BLANK))


def _column(name: str, default_name: str, default: int) -> int:
    if name == default_name:
        return default
    try:
        column = int(name)
    except ValueError:
        column = 0
    if column == 0:
        raise UserError(
            f"data.{default_name}={name!r} is no column of a CoNLL file: give its number from 1, "
            "or from -1 counting from the last"
        )
    return column


def _field(fields: list[str], column: int) -> str:
    index = column - 1 if column > 0 else len(fields) + column
    return fields[index] if 0 <= index < len(fields) else ""
