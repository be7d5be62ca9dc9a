"""Questions of RACE as its authors publish them: a JSON object a passage, a file each.

One file holds `article`, `questions`, `options` (a list a question) and `answers` (a letter a
question); a directory of them, such as RACE/train/middle, is read whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bertjax.errors import UserError
from bertjax.text.account import Account, Problem
from bertjax.text.inputs import files_below
from bertjax.text.json_rows import parse_json
from bertjax.text.layouts import settle, suffix_of
from bertjax.text.stored import check_text, read_text

_TABLE = re.compile(r'\s*(\[|\{\s*"(data|rows|columns)")')  # how JSON of a table begins
_FIELD = re.compile(r'"(article|questions|options|answers)"\s*:')
_FIX = "give RACE's JSON: article, questions, options and answers"


@dataclass(frozen=True)
class Question:
    """One question of a passage."""

    place: str
    id: str
    article: str
    question: str
    options: tuple[str, ...]
    answer: str  # empty where the file has none


def is_race(path: str) -> bool:
    """Whether `path` is a directory of RACE's, or a .json file with one object that is no table."""
    if Path(path).is_dir():
        files = [file for file in Path(path).rglob("*") if file.is_file()]
        return all(suffix_of(str(file)) in ("", ".txt", ".json", ".md") for file in files)
    if suffix_of(path) != ".json" or settle(path, "article") != "json":
        return False
    text = read_text(path, Account())
    return not _TABLE.match(text) and _FIELD.search(text) is not None


def read_race(path: str, account: Account) -> Iterator[Question]:
    """The questions of a file, or of all .txt and .json files below a directory, by name.

    Raises:
        UserError: a file cannot be read or is laid out otherwise, or there is none.
    """
    files = [path]
    if Path(path).is_dir():
        below = files_below(Path(path), account)
        files = [str(p) for p in below if p.suffix.lower() in (".txt", ".json")]
        if not files:
            raise UserError(f"{path}: no .txt or .json file below it: give a directory of RACE's")
    for file in files:
        yield from _questions(file, account)
    account.read["RACE"] += len(files)


def _questions(path: str, account: Account) -> Iterator[Question]:
    content = parse_json(path, read_text(path, account))
    if not isinstance(content, dict) or not isinstance(content.get("article"), str):
        raise UserError(f"{path}: no object with a text 'article': {_FIX}")
    name = str(content.get("id") or Path(path).name)
    questions = _texts(content.get("questions"))
    options, answers = content.get("options"), _texts(content.get("answers", []))
    if questions is None or answers is None or not isinstance(options, list):
        raise UserError(f"{path}: 'questions', 'options' and 'answers' are not all lists: {_FIX}")
    if len(options) != len(questions) or len(answers) not in (0, len(questions)):
        raise UserError(
            f"{path}: {len(questions)} questions with {len(options)} lists of options and "
            f"{len(answers)} answers: give each one of both"
        )
    for i, question in enumerate(questions):
        endings = _texts(options[i])
        if endings is None:
            raise UserError(f"{path}: the options of question {i} are no list of texts: {_FIX}")
        answer = answers[i] if answers else ""
        place = f"{path}:{i}"
        try:
            check_text(
                "\n".join((name, content["article"], question, *endings, answer)), "the text"
            )
        except Problem as problem:
            raise UserError(f"{place}: {problem}: {_FIX}") from None
        yield Question(place, f"{name}-{i}", content["article"], question, tuple(endings), answer)


def _texts(value: Any) -> list[str] | None:
    good = isinstance(value, list) and all(isinstance(item, str) for item in value)
    return value if good else None
