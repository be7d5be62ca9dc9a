"""What no file can hold as text, in any field: refused by name, as it could not be written again.

JSON can spell half of a surrogate pair, other files hold bytes that are no UTF-8.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from bertjax.config import ExamplesConfig, FinetuneConfig, TaskConfig
from bertjax.errors import UserError
from bertjax.tasks.families import read_examples

HALF = "\ud83d"
ANSWERS = {"text": ["b"], "answer_start": [2]}
ROWS: dict[str, dict[str, Any]] = {
    "classification": {"id": "n", "text": "a", "label": "x"},
    "multi_label": {"idx": "n", "text": "a", "label": ["x", "y"]},
    "regression": {"index": "n", "text": "a", "label": "1.5"},
    "tagging": {"id": "n", "text": ["a", "b"], "label": ["O", "B-x"]},
    "span_qa": {"id": "n", "title": "t", "question": "a", "context": "a b", "answers": ANSWERS},
    "multiple_choice": {"id": "n", "text": "a", "one": "b", "two": "c", "label": "one"},
}


def config(family: str, **data: Any) -> FinetuneConfig:
    choices = ("one", "two") if family == "multiple_choice" else ()
    return FinetuneConfig(
        task=TaskConfig(
            family=family, scheme="IOB2" if data.get("layout") == "cluener" else "none"
        ),
        data=ExamplesConfig(choices=choices, **data),
    )


def refused(path: Path, cfg: FinetuneConfig, says: str) -> bool:
    """Whether the file is refused for that; what is read of it else must be text."""
    try:
        found, _ = read_examples(str(path), cfg)
    except UserError as error:
        return says in str(error)
    for example in found:
        json.dumps(asdict(example), ensure_ascii=False, default=repr).encode()
    return False


def spoiled(value: Any, by: str) -> Iterator[Any]:
    """The value with one of its texts spoiled, once for each."""
    if isinstance(value, str):
        yield value + by
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from ([*value[:i], other, *value[i + 1 :]] for other in spoiled(item, by))
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from (value | {name: other} for other in spoiled(item, by))


@pytest.mark.parametrize("family", ROWS)
def test_half_a_character_in_any_field_is_refused(family, tmp_path):
    path, row = tmp_path / "a.jsonl", ROWS[family]
    for bad in spoiled(row, HALF):
        path.write_text("".join(json.dumps(each) + "\n" for each in (row, bad)))
        is_used = bad.get("title") == row.get("title")
        assert refused(path, config(family), "half a surrogate pair") == is_used, bad


NESTED = {
    "squad": {"id": "n", "question": "a", "answers": [{"text": "b", "answer_start": 2}]},
    "cluener": {"text": "ab", "label": {"x": {"b": [[1, 1]]}}},
    "race": {"article": "a", "questions": ["_ a"], "options": [["b", "c"]], "answers": ["A"]},
}
FAMILIES = {"squad": ("span_qa", "squad"), "cluener": ("tagging", "cluener")}


@pytest.mark.parametrize("layout", NESTED)
def test_half_a_character_in_layouts_of_their_own_is_refused(layout, tmp_path):
    for bad in spoiled(NESTED[layout], HALF):
        content = json.dumps(bad)
        if layout == "squad":
            content = f'{{"data": [{{"paragraphs": [{{"context": "a b", "qas": [{content}]}}]}}]}}'
        path = tmp_path / "a.json"
        path.write_text(content)
        family, name = FAMILIES.get(layout, ("multiple_choice", ""))
        assert refused(path, config(family, layout=name), "half a surrogate pair"), bad


@pytest.mark.parametrize("place", range(3))
def test_bytes_that_are_no_text_in_any_column_are_refused(place, tmp_path):
    path = tmp_path / "a.csv"
    rows = [[b"n", b"a", b"x"], [b"m", b"b", b"y"]]
    rows[1][place] += b"\xff"
    path.write_bytes(b"\n".join(map(b",".join, [[b"id", b"text", b"label"], *rows])) + b"\n")
    assert refused(path, config("classification"), "0xff")


@pytest.mark.parametrize("line", ["# sent_id = n\xff", "b\xff O", "b B-x\xff"])
def test_bytes_that_are_no_text_in_columns_of_words_are_refused(line, tmp_path):
    path = tmp_path / "a.conll"
    path.write_bytes(f"a O\n\n{line}\nc O\n".encode("latin-1"))
    assert refused(path, config("tagging"), "0xff")
