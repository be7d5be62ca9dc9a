"""What a prediction is filed under: its own id, else its number from 0, whatever the layout."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bertjax.config import ExamplesConfig, FinetuneConfig, TaskConfig
from bertjax.tasks.families import read_examples
from bertjax.tasks.unlabelled import read_unlabelled
from bertjax.text.account import Account

TEXTS = ["new york", "paul is in york", "in a new york"]
Write = Callable[[Path, list[dict]], object]


def as_csv(path: Path, rows: list[dict]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], delimiter="\t" if path.suffix == ".tsv" else ",")
        writer.writeheader()
        writer.writerows(rows)


def as_parquet(path: Path, rows: list[dict]) -> None:
    pq.write_table(pa.Table.from_pylist(rows), path)


def as_lines(path: Path, rows: list[dict]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def as_text(path: Path, rows: list[dict]) -> None:
    path.write_text("".join(row["text"] + "\n" for row in rows))


def as_columns(path: Path, rows: list[dict]) -> None:
    path.write_text("\n".join("".join(f"{w} O\n" for w in row["text"].split()) for row in rows))


WRITERS: dict[str, Write] = {
    "csv": as_csv,
    "tsv": as_csv,
    "parquet": as_parquet,
    "jsonl": as_lines,
    "txt": as_text,
    "conll": as_columns,
}


@pytest.mark.parametrize("family", ["classification", "tagging"])
@pytest.mark.parametrize("suffix", WRITERS)
def test_rows_without_ids_are_numbered_from_0_over_all_files(tmp_path, family, suffix):
    if (family, suffix) in (("classification", "conll"), ("tagging", "tsv")):
        pytest.skip("no such file of that family")
    for name in "ab":
        WRITERS[suffix](tmp_path / f"{name}.{suffix}", [{"text": text} for text in TEXTS])
    cfg = FinetuneConfig(task=TaskConfig(family=family))
    found, _ = read_unlabelled(str(tmp_path / f"*.{suffix}"), cfg)
    assert [each.id for each in found] == [str(i) for i in range(2 * len(TEXTS))]


@pytest.mark.parametrize("name", ["id", "idx", "index"])
@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_a_row_with_an_id_keeps_it_in_every_family(tmp_path, name, suffix):
    rows = {
        "classification": {"text": "a", "label": "x"},
        "tagging": {"text": ["a"], "label": ["O"]},
        "span_qa": {"question": "a", "context": "a", "answers": {"text": [], "answer_start": []}},
        "multiple_choice": {"text": "a", "one": "b", "two": "c", "label": 0},
    }
    for family, row in rows.items():
        path = tmp_path / f"{family}.{suffix}"
        WRITERS[suffix](path, [row | {name: f"n{i}"} for i in range(2)])
        choices = ("one", "two") if family == "multiple_choice" else ()
        task = TaskConfig(family=family, no_answer=True)
        cfg = FinetuneConfig(task=task, data=ExamplesConfig(choices=choices))
        found, _ = read_examples(str(path), cfg)
        assert [each.id for each in found] == ["n0", "n1"], family


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_an_id_is_written_as_json_has_it(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    WRITERS[suffix](path, [{"id": id, "text": "a", "label": "x"} for id in (True, False)])
    found, _ = read_examples(str(path), FinetuneConfig())
    assert [each.id for each in found] == ["true", "false"]


def test_ids_that_are_there_twice_are_noted(tmp_path):
    as_csv(
        tmp_path / "a.csv",
        [{"id": i, "text": t, "label": "x"} for i, t in zip("112", TEXTS, strict=True)],
    )
    account = Account()
    read_examples(str(tmp_path / "a.csv"), FinetuneConfig(), account=account)
    assert account.notes == [
        "1 of 3 examples have the id of another one, such as '1', so that ids do not tell "
        "predictions apart"
    ]


def test_flat_questions_of_several_files_have_an_id_each(tmp_path):
    row = {"question": "a", "context": "a", "answers": {"text": [], "answer_start": []}}
    for name in "ab":
        as_lines(tmp_path / f"{name}.jsonl", [row, row])
    task = TaskConfig(family="span_qa", no_answer=True)
    found, _ = read_examples(str(tmp_path / "*.jsonl"), FinetuneConfig(task=task))
    assert [each.id for each in found] == ["0", "1", "2", "3"]


def test_a_sentence_of_a_treebank_is_called_as_it_is_there(tmp_path):
    word = "1\tpaul\t_\tPROPN\t_\t_\t_\t_\t_\t_\n"
    path = tmp_path / "a.conllu"
    path.write_text(f"# sent_id = one-1\n{word}\n{word}\n# sent_id = one-3\n{word}\n")
    cfg = FinetuneConfig(task=TaskConfig(family="tagging"))
    assert [each.id for each in read_examples(str(path), cfg)[0]] == ["one-1", "1", "one-3"]
