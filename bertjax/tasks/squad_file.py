"""Questions from JSON laid out as SQuAD's: versions 1.1 and 2.0, CMRC 2018, DRCD, XQuAD."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from bertjax.config import FinetuneConfig
from bertjax.errors import UserError
from bertjax.tasks.files import open_text
from bertjax.tasks.tables import BadRows
from bertjax.tasks.task import Example

_HALF_PAIR = re.compile("[\ud800-\udfff]")
_KINDS = {dict: "an object", list: "a list", str: "a text", int: "a whole number"}

Answer = tuple[int, str]  # its first character in the context, and its text


def read(path: str, cfg: FinetuneConfig, labelled: bool = True) -> tuple[list[Example], int]:
    """One example a question, and how many questions and answers were left out as bad.

    `texts` is (question, context) and `label` a tuple of (start, text), which is empty where the
    question has no answer; without `labelled` it is None and no answers need be there. White space
    around an answer does not count. An answer that is not what the context has at its start is
    bad; where bad ones may be skipped, a question keeps its other answers.

    Raises:
        UserError: the file cannot be read or is laid out otherwise, or a question is bad and is
            not to be skipped.
    """
    if cfg.data.layout not in ("", "squad"):
        raise UserError(
            f"data.layout={cfg.data.layout} with task.family=span_qa: questions are read from "
            "JSON as SQuAD has it; use data.layout=squad, or leave it out"
        )
    bad = BadRows(cfg.data)
    examples = []
    for where, context, item in _questions(path):
        place = f"{path}:{item['id']}" if _is_id(item.get("id")) else where
        try:
            question, id = _text(item, "question"), item.get("id")
            if not _is_id(id):
                raise ValueError("no 'id', a text or a number")
            answers = _answers(item, cfg.task.no_answer) if labelled else None
        except ValueError as problem:
            bad.add(place, str(problem))
            continue
        label = None if answers is None else _checked(answers, context, place, bad)
        if label or not answers:
            examples.append(Example(place, str(id), (question, context), label))
    return examples, bad.count


def _questions(path: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Where each question stands, its context and its object."""
    with open_text(path) as stream:
        try:
            content = json.load(stream)
        except UnicodeDecodeError:
            raise
        except (ValueError, RecursionError) as error:
            raise UserError(f"{path}: not JSON ({error}): give a file as SQuAD has it") from None
    try:
        for i, article in enumerate(_field(content, "data", list)):
            for j, paragraph in enumerate(_field(article, "paragraphs", list, f"data.{i}")):
                where = f"data.{i}.paragraphs.{j}"
                context = _text(paragraph, "context", where)
                for k, item in enumerate(_field(paragraph, "qas", list, where)):
                    if not isinstance(item, dict):
                        raise ValueError(f"{where}.qas.{k} is no object")
                    yield f"{path}:{where}.qas.{k}", context, item
    except ValueError as problem:
        raise UserError(
            f"{path}: {problem}: give JSON as SQuAD has it, data > paragraphs > context and qas"
        ) from None


def _answers(item: dict[str, Any], no_answer: bool) -> list[Answer]:
    """The answers as the file has them, white space around them aside."""
    if item.get("is_impossible") is True:
        found: list[Answer] = []
    else:
        found = [_answer(answer) for answer in _field(item, "answers", list)]
    if not found and not no_answer:
        raise ValueError("no answer: set task.no_answer=true if questions may have none")
    return found


def _answer(answer: Any) -> Answer:
    text, start = _text(answer, "text", "an answer"), _field(answer, "answer_start", int, "it")
    return start, text


def _checked(answers: list[Answer], context: str, place: str, bad: BadRows) -> tuple[Answer, ...]:
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
            bad.add(
                place,
                f"the answer {text[:60]!r} should stand at character {start} of its context, "
                f"where {there[:60]!r} does",
            )
    return tuple(kept)


def _is_id(value: Any) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool) and value != ""


def _field(node: Any, name: str, kind: type, where: str = "it") -> Any:
    """A field of an object; ValueError says what is there instead."""
    value = node.get(name) if isinstance(node, dict) else None
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"{where} has no {name!r} that is {_KINDS[kind]}")
    return value


def _text(node: Any, name: str, where: str = "it") -> str:
    """A text that is not blank."""
    value = _field(node, name, str, where)
    if not value.strip():
        raise ValueError(f"{where} has a blank {name!r}")
    if _HALF_PAIR.search(value):
        raise ValueError(f"{where} has a {name!r} with half a surrogate pair, which is not text")
    return value
