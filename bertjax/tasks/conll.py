"""Tagged sentences: CoNLL columns, CoNLL-U, JSON Lines with lists, and CLUENER's spans."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from bertjax.config import ExamplesConfig
from bertjax.errors import UserError
from bertjax.tasks.files import open_text
from bertjax.tasks.tag_schemes import tags_of

_SPACES = re.compile("[ \t]+")  # others, such as the wide one of Chinese, may be in a word

_BLANK = " \t\r\n"


@dataclass(frozen=True)
class Sentence:
    """Words with their tags, and the line of each."""

    words: tuple[str, ...]
    tags: tuple[str, ...] | None
    lines: tuple[int, ...]
    id: str
    problem: str = ""  # what makes it unusable, if anything does


def layout_of(path: str, data: ExamplesConfig) -> str:
    """The layout that the config names, else the one that the suffix does; conll for any other."""
    if data.layout:
        return data.layout
    name = PurePath(path).name.removesuffix(".xz").removesuffix(".gz")
    return {".conllu": "conllu", ".jsonl": "jsonl"}.get(PurePath(name).suffix, "conll")


def read_sentences(
    path: str, data: ExamplesConfig, labelled: bool, scheme: str
) -> Iterator[Sentence]:
    """Yield the sentences of a file.

    `scheme` is the one in which CLUENER's spans are written as tags.

    Raises:
        UserError: the file cannot be read, or its layout is none of tagged sentences.
    """
    layout = layout_of(path, data)
    if layout == "cluener" and labelled and scheme == "none":
        raise UserError(f"{path}: CLUENER holds entities: set task.scheme, such as IOB2")
    if layout in ("conll", "conllu"):
        yield from _columns(path, data, labelled, layout)
    elif layout in ("jsonl", "cluener"):
        yield from _objects(path, data, labelled, scheme if layout == "cluener" else "")
    else:
        raise UserError(
            f"{path}: data.layout={layout} holds no tagged sentences: use conll, conllu, jsonl or "
            "cluener"
        )


def _columns(path: str, data: ExamplesConfig, labelled: bool, layout: str) -> Iterator[Sentence]:
    """Lines of columns, blank lines between sentences.

    Columns are separated by tabs in CoNLL-U and by tabs or spaces in CoNLL, whose word is the
    first column and tag the last unless `data.text` and `data.label` say otherwise; in CoNLL-U
    they are FORM (2) and UPOS (4), and multi-word tokens (8-9) and empty nodes (8.1) are left out.
    """
    treebank = layout == "conllu"
    word_column = _column(data.text, "text", 2 if treebank else 1)
    tag_column = _column(data.label, "label", 4 if treebank else -1)
    words: list[str] = []
    tags: list[str] = []
    lines: list[int] = []
    problem, width, number = "", 0, 0

    def sentence() -> Sentence:
        return Sentence(
            tuple(words), tuple(tags) if labelled else None, tuple(lines), str(number), problem
        )

    with open_text(path) as stream:
        for line_number, line in enumerate(stream, start=1):
            fields = (
                line.rstrip("\r\n").split("\t") if treebank else _SPACES.split(line.strip(_BLANK))
            )
            if not line.strip(_BLANK):
                if words:
                    yield sentence()
                    number += 1
                words, tags, lines, problem, width = [], [], [], "", 0
                continue
            if treebank and (line.startswith("#") or not fields[0].isdecimal()):
                continue
            if not treebank and fields[0] == "-DOCSTART-":
                continue
            need = max(abs(word_column), abs(tag_column), 2) if labelled else abs(word_column)
            if not problem and (len(fields) < need or (width and len(fields) != width)):
                problem = f"{path}:{line_number}: {len(fields)} columns, " + (
                    f"the lines above have {width}" if width else f"need {need}"
                )
            if not problem and not _field(fields, word_column):
                problem = f"{path}:{line_number}: no word in column {word_column}"
            width = width or len(fields)
            lines.append(line_number)
            words.append(_field(fields, word_column))
            tags.append(_field(fields, tag_column) if labelled else "")
    if words:
        yield sentence()


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


def _objects(path: str, data: ExamplesConfig, labelled: bool, scheme: str) -> Iterator[Sentence]:
    """JSON objects with lists of words and tags, or with `scheme` CLUENER's text and spans."""
    with open_text(path) as stream:
        for line_number, line in enumerate(stream, start=1):
            if not line.strip():
                continue
            words: tuple[str, ...] = ()
            tags: tuple[str, ...] | None = None
            problem = ""
            try:
                record = json.loads(line)
                if not isinstance(record, dict):
                    raise ValueError(f"a JSON {type(record).__name__}, not an object")
                words = tuple(record["text"] if scheme else record[data.text])
                if labelled:
                    tags = _cluener_tags(record, scheme) if scheme else tuple(record[data.label])
                if not words or not all(isinstance(w, str) and w for w in (*words, *(tags or ()))):
                    raise ValueError("words and tags must be lists of strings that are not empty")
                if tags is not None and not scheme and isinstance(record[data.label], str):
                    raise ValueError(f"{data.label!r} is one string, not a list of tags")
                if tags is not None and len(tags) != len(words):
                    raise ValueError(f"{len(words)} words but {len(tags)} tags")
            except KeyError as error:
                problem = f"{path}:{line_number}: no field {error}"
            except json.JSONDecodeError as error:
                problem = f"{path}:{line_number}: not JSON ({error.msg})"
            except (TypeError, AttributeError, RecursionError):
                problem = f"{path}:{line_number}: not laid out as {layout_of(path, data)} is"
            except ValueError as error:
                problem = f"{path}:{line_number}: {error}"
            number = (line_number,) * max(1, len(words))
            yield Sentence(words, tags, number, str(line_number - 1), problem)


def _cluener_tags(record: dict[str, Any], scheme: str) -> tuple[str, ...]:
    """Tags from `{type: {surface: [[first, last], ...]}}`, both ends included.

    Of entities that overlap, which tags cannot hold, the one that begins first is kept, of those
    the longest (21 sentences of CLUENER's training file have such).
    """
    text, entities = record["text"], []
    for kind, surfaces in record["label"].items():
        for surface, places in surfaces.items():
            for first, last in places:
                if text[first : last + 1] != surface:
                    there = text[first : last + 1]
                    raise ValueError(f"{surface!r} is not at {first}..{last}, but {there!r}")
                if not 0 <= first <= last:
                    raise ValueError(f"an entity of {kind} from {first} to {last}")
                entities.append((first, last + 1, kind))
    kept: list[tuple[int, int, str]] = []
    for entity in sorted(entities, key=lambda e: (e[0], -e[1], e[2])):
        if not kept or entity[0] >= kept[-1][1]:
            kept.append(entity)
    return tuple(tags_of(kept, len(text), scheme))
