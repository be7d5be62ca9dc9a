"""Questions as SQuAD has them: nested JSON (1.1 and 2.0, CMRC 2018, DRCD, XQuAD), and flat rows.

A flat row holds `question`, `context` and `answers`, a list of objects or, as on Hugging Face's
Hub, an object of the lists `text` and `answer_start`; in JSON Lines, JSON, Parquet or a saved set.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from typing import Any

from bertjax.config import FinetuneConfig
from bertjax.errors import UserError
from bertjax.tasks.blank import is_blank
from bertjax.tasks.tables import labelled_inputs, row_account
from bertjax.tasks.task import Example
from bertjax.text.account import Account, Problem
from bertjax.text.delimited import Form
from bertjax.text.json_rows import parse_json
from bertjax.text.layouts import NAMES, Input
from bertjax.text.records import id_of, read_records
from bertjax.text.stored import check_text, read_text

_KINDS = {dict: "an object", list: "a list", str: "a text", int: "a whole number"}
_FLAT = ("json", "jsonl", "parquet", "arrow", "saved", "tfds")
_FIELDS = ("question", "context")
_PLACES = 100  # of an answer in its context that are looked at to say what is wrong
# What programs count before an answer instead of characters.
_OTHER_COUNTS: dict[str, Callable[[str], int]] = {
    "UTF-16 units, as JavaScript and Java do": lambda before: len(before.encode("utf-16-le")) // 2,
    "bytes of UTF-8": lambda before: len(before.encode()),
    "line ends as two characters": lambda before: len(before) + before.count("\n"),
    "line ends as one character": lambda before: len(before) - before.count("\r\n"),
    "from 1": lambda before: len(before) + 1,
}

Answer = tuple[int, str]  # its first character in the context, and its text
Item = tuple[str, "str | Problem", dict[str, Any]]  # where a question stands, its context, itself


def read(
    path: str, cfg: FinetuneConfig, labelled: bool = True, account: Account | None = None
) -> tuple[list[Example], int]:
    """One example a question, and how many questions and answers were left out as bad.

    `texts` is (question, context) and `label` a tuple of (start, text), which is empty where the
    question has no answer; without `labelled` it is None and no answers need be there. White space
    around an answer does not count. An answer that is not what the context has at its start is
    bad; where bad ones may be skipped, a question keeps its other answers.

    Raises:
        UserError: the file cannot be read or is laid out otherwise, or a question is bad and is
            not to be skipped.
    """
    layout = cfg.data.layout
    if layout not in ("", "squad", *_FLAT):
        raise UserError(
            f"data.layout={layout} with task.family=span_qa: questions are read from JSON as "
            "SQuAD has it, and from JSON Lines or Parquet with a question a row; use "
            "data.layout=squad, or leave it out"
        )
    account = account or row_account(cfg.data)
    examples = []
    for where, context, item in _questions(path, cfg, labelled, account):
        name = where.rpartition(":")[0]
        place = f"{name}:{item['id']}" if _is_id(item.get("id")) else where
        try:
            if isinstance(context, Problem):
                raise context
            question, id = _text(item, "question"), item.get("id")
            if not _is_id(id):
                raise Problem("without an id", "no 'id', a text or a number")
            check_text(str(id), "'id'")
            answers = _answers(item, cfg.task.no_answer) if labelled else None
        except Problem as problem:
            account.leave(place, problem)
            continue
        label = None if answers is None else _checked(answers, context, place, account)
        if label or not answers:
            examples.append(Example(place, str(id), (question, context), label))
    return examples, account.count


def _questions(path: str, cfg: FinetuneConfig, labelled: bool, account: Account) -> Iterator[Item]:
    """The questions of a file, a directory or a data set."""
    layout = "" if cfg.data.layout == "squad" else cfg.data.layout
    numbers = itertools.count()  # of rows, over all files
    for source in labelled_inputs(path, "context", account, layout):
        name = source.name
        if source.layout in ("", "text", "json"):
            content = parse_json(name, read_text(name, account))
            nested = isinstance(content, dict) and _is_nested(content.get("data"))
            source = Input(name, "json")
        else:
            nested = False
        if source.layout not in _FLAT:
            raise UserError(
                f"{name}: a {NAMES[source.layout]} file, which has no questions: give JSON as "
                "SQuAD has it, or JSON Lines or Parquet with a question a row"
            )
        columns = (*_FIELDS, "answers") if labelled else _FIELDS
        account.read[NAMES[source.layout]] += 1
        if nested or (source.layout == "json" and not _has_rows(content)):
            yield from _of_articles(name, content)
        else:
            rows = read_records(source, columns, Form(), account).rows
            yield from _of_rows(rows, numbers)


def _is_nested(articles: Any) -> bool:
    return isinstance(articles, list) and _begins_with(articles, "paragraphs")


def _has_rows(content: Any) -> bool:
    """Whether JSON holds flat questions rather than articles."""
    rows = content.get("data") if isinstance(content, dict) else content
    return isinstance(rows, list) and _begins_with(rows, "context")


def _begins_with(objects: list[Any], field: str) -> bool:
    return bool(objects) and isinstance(objects[0], dict) and field in objects[0]


def _of_articles(name: str, content: Any) -> Iterator[Item]:
    try:
        for i, article in enumerate(_field(content, "data", list)):
            for j, paragraph in enumerate(_field(article, "paragraphs", list, f"data.{i}")):
                where = f"data.{i}.paragraphs.{j}"
                context = _text(paragraph, "context", where)
                for k, item in enumerate(_field(paragraph, "qas", list, where)):
                    if not isinstance(item, dict):
                        raise Problem("not laid out so", f"{where}.qas.{k} is no object")
                    yield f"{name}:{where}.qas.{k}", context, item
    except Problem as problem:
        raise UserError(
            f"{name}: {problem}: give JSON as SQuAD has it, data > paragraphs > context and qas"
        ) from None


def _of_rows(
    rows: Iterator[tuple[str, dict[str, Any] | Problem]], numbers: Iterator[int]
) -> Iterator[Item]:
    """Questions a row; one without an id is called by the next of `numbers`."""
    for (place, fields), number in zip(rows, numbers, strict=False):
        if isinstance(fields, Problem):
            yield place, fields, {}
            continue
        item: dict[str, Any] = {}
        try:
            item = {"id": id_of(fields) or str(number)}
            item |= {name: value for name, value in fields.items() if value is not None}
            answers = item.get("answers")
            if isinstance(answers, str):
                raise Problem("not laid out so", "'answers' is written as text: store its lists")
            if isinstance(answers, dict):
                item["answers"] = _from_lists(answers)
            yield place, _text(fields, "context"), item
        except Problem as problem:
            yield place, problem, item


def _from_lists(answers: dict[str, Any]) -> list[dict[str, Any]]:
    """Answers of an object of the lists `text` and `answer_start`."""
    texts, starts = (_field(answers, name, list, "answers") for name in ("text", "answer_start"))
    if len(texts) != len(starts):
        said = f"{len(texts)} texts of answers but {len(starts)} places"
        raise Problem("misplaced answer", said)
    return [{"text": t, "answer_start": s} for t, s in zip(texts, starts, strict=True)]


def _answers(item: dict[str, Any], no_answer: bool) -> list[Answer]:
    """The answers as the file has them, white space around them aside."""
    if item.get("is_impossible") is True:
        found: list[Answer] = []
    else:
        found = [_answer(answer) for answer in _field(item, "answers", list)]
    if not found and not no_answer:
        raise Problem(
            "without an answer", "no answer: set task.no_answer=true if questions may have none"
        )
    return found


def _answer(answer: Any) -> Answer:
    text, start = _text(answer, "text", "an answer"), _field(answer, "answer_start", int, "it")
    return start, text


def _checked(
    answers: list[Answer], context: str, place: str, account: Account
) -> tuple[Answer, ...]:
    """Those answers that stand in the context where they say."""
    kept = []
    for start, text in answers:
        stripped = text.strip()
        if start >= 0 and context.startswith(text, start):
            kept.append((start + len(text) - len(text.lstrip()), stripped))
        elif start >= 0 and context.startswith(stripped, start):  # behind white space of the text
            kept.append((start, stripped))
        else:
            there = context[start : start + len(text)] if start >= 0 else ""
            said = (
                f"the answer {text[:60]!r} should stand at character {start} of its context, "
                f"where {there[:60]!r} does{_other_count(context, start, stripped)}"
            )
            account.leave(place, Problem("misplaced answer", said))
    return tuple(kept)


def _other_count(context: str, start: int, text: str) -> str:
    """What else than characters the place of an answer counts, if it fits; or where the text is."""
    found = re.finditer(f"(?={re.escape(text)})", context)
    places = [match.start() for match in itertools.islice(found, _PLACES)]
    for place in places:
        for what, count in _OTHER_COUNTS.items():
            if count(context[:place]) == start:
                return f"; places seem to count {what}: give {place}"
    return f"; it stands at {places[0]} alone" if len(places) == 1 else ""


def _is_id(value: Any) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool) and value != ""


def _field(node: Any, name: str, kind: type, where: str = "it") -> Any:
    """A field of an object; `Problem` says what is there instead."""
    value = node.get(name) if isinstance(node, dict) else None
    if not isinstance(value, kind) or isinstance(value, bool):
        raise Problem("not laid out so", f"{where} has no {name!r} that is {_KINDS[kind]}")
    return value


def _text(node: Any, name: str, where: str = "it") -> str:
    """A text that is not blank."""
    value = _field(node, name, str, where)
    if is_blank(value):
        raise Problem("blank text", f"{where} has a blank {name!r}")
    try:
        check_text(value, repr(name))
    except Problem as problem:
        raise Problem(problem.kind, f"{where} has a {problem}") from None
    return value
