"""Tagged sentences in records: lists of words and tags, and CLUENER's text with spans."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from bertjax.config import FinetuneConfig
from bertjax.tasks.blank import is_blank, is_no_word
from bertjax.tasks.conll import Sentence
from bertjax.tasks.label_values import as_list
from bertjax.tasks.tag_schemes import tags_of
from bertjax.text.account import Problem
from bertjax.text.records import Record, id_of, reach
from bertjax.text.stored import check_text

_CJK = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")


def read_tagged(
    rows: Iterator[Record], cfg: FinetuneConfig, labelled: bool, scheme: str
) -> Iterator[Sentence]:
    """Sentences of records with lists of words and tags, or with `scheme` CLUENER's.

    A list may be written as text. A text in the place of words is cut at its spaces, or into
    characters where there are as many tags, or where it has no spaces and is Chinese. Numbers in
    the place of tags are the places of tags in `task.labels`.
    """
    for place, fields in rows:
        number = int(place.rpartition(":")[2])
        words: tuple[str, ...] = ()
        tags: tuple[str, ...] | None = None
        problem, source, id = None, "", ""
        try:
            if isinstance(fields, Problem):
                raise fields
            id = id_of(fields)
            if scheme:
                words, tags = _cluener(fields, labelled, scheme)
            else:
                if labelled:
                    found = reach(fields, cfg.data.label)
                    tags = _tags(found, cfg.data.label, cfg.task.labels)
                value = reach(fields, cfg.data.text)
                words = _words(value, tags)
                source = value if isinstance(value, str) and as_list(value) is None else ""
            if tags is not None and len(tags) != len(words):
                raise Problem("bad tags", f"{len(words)} words but {len(tags)} tags")
        except Problem as found_problem:
            problem = Problem(found_problem.kind, str(found_problem), place)
        lines = (number,) * max(1, len(words))
        yield Sentence(place, words, tags, lines, id, problem, source)


def words_of(text: str) -> tuple[str, ...]:
    """What spaces separate, or the characters of a text that has none and is Chinese.

    Words of which nothing is seen are left out.
    """
    words = text.split()
    found = words[0] if len(words) == 1 and _CJK.search(text) else words
    return tuple(word for word in found if not is_blank(word))


def _words(value: Any, tags: Sequence[str] | None) -> tuple[str, ...]:
    found = as_list(value)
    if found is None and isinstance(value, str):
        found = list(value if tags is not None and len(tags) == len(value) else words_of(value))
    if not found or any(not isinstance(word, str) or is_no_word(word) for word in found):
        raise _not_lists()
    for word in found:
        check_text(word, "a word")
    return tuple(found)


def _tags(value: Any, column: str, named: Sequence[str]) -> tuple[str, ...]:
    found = as_list(value)
    if found is None and isinstance(value, str):
        raise Problem("bad tags", f"{column!r} is one string, not a list of tags")
    if found is None:
        raise _not_lists()
    tags = []
    for tag in found:
        if named and str(tag).isdecimal() and str(tag) not in named and int(tag) < len(named):
            tag = named[int(tag)]
        if isinstance(tag, int):
            raise Problem(
                "bad tags",
                f"{column!r} holds numbers: name the tags in task.labels, in order of their "
                "numbers",
            )
        if not isinstance(tag, str) or is_blank(tag):
            raise _not_lists()
        check_text(tag, "a tag")
        tags.append(tag.strip())
    return tuple(tags)


def _not_lists() -> Problem:
    return Problem("bad tags", "words and tags must be lists of strings that are not empty")


def _cluener(
    record: dict[str, Any], labelled: bool, scheme: str
) -> tuple[tuple[str, ...], tuple[str, ...] | None]:
    try:
        text = record["text"]
        if not isinstance(text, str) or is_blank(text):
            raise TypeError
        check_text(text, "'text'")
        return tuple(text), _cluener_tags(record, scheme) if labelled else None
    except KeyError as error:
        raise Problem("no such field", f"no field {error}") from None
    except (TypeError, AttributeError, ValueError) as error:
        if isinstance(error, Problem):
            raise
        raise Problem("not laid out so", "not laid out as cluener is") from None


def _cluener_tags(record: dict[str, Any], scheme: str) -> tuple[str, ...]:
    """Tags from `{type: {surface: [[first, last], ...]}}`, both ends included.

    Of entities that overlap, which tags cannot hold, the one that begins first is kept, of those
    the longest (21 sentences of CLUENER's training file have such).
    """
    text, entities = record["text"], []
    for kind, surfaces in record["label"].items():
        check_text(kind, "a kind of entity")
        for surface, places in surfaces.items():
            for first, last in places:
                there = text[first : last + 1]
                if there != surface:
                    said = f"{surface!r} is not at {first}..{last}, but {there!r}"
                    raise Problem("misplaced entity", said)
                if not 0 <= first <= last:
                    raise Problem("misplaced entity", f"an entity of {kind} from {first} to {last}")
                entities.append((first, last + 1, kind))
    kept: list[tuple[int, int, str]] = []
    for entity in sorted(entities, key=lambda e: (e[0], -e[1], e[2])):
        if not kept or entity[0] >= kept[-1][1]:
            kept.append(entity)
    return tuple(tags_of(kept, len(text), scheme))
