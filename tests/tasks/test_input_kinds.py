"""Every family of tasks takes every kind of file given to `predict` as what it is, or refuses it.

Never a part of it: what is read are all texts that pandas, pyarrow and datasets wrote, in order.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bertjax.config import ExamplesConfig, FinetuneConfig, TaskConfig
from bertjax.errors import UserError
from bertjax.tasks.unlabelled import read_unlabelled

pd = pytest.importorskip("pandas")

Rows = list[dict[str, str]]

FIELDS = {
    "classification": ("text",),
    "multi_label": ("text",),
    "regression": ("text",),
    "pairs": ("text", "other"),
    "tagging": ("text",),
    "span_qa": ("question", "context"),
    "multiple_choice": ("text", "first", "second"),
}
SINGLE = ("classification", "multi_label", "regression", "tagging")
word = st.sampled_from(["a", "Hà", "x,y", "中国", "don't", '"hi"', "#", "1", "[MASK]", "e;f", "O"])
text = st.lists(word, min_size=2, max_size=4).map(" ".join)


def lines(path: Path, rows: Rows) -> None:
    path.write_text("".join(next(iter(row.values())) + "\n" for row in rows))


def columns(path: Path, rows: Rows) -> None:
    blocks = ("".join(f"{w}\tX\n" for w in next(iter(row.values())).split()) for row in rows)
    path.write_text("\n".join(blocks))


def treebank(path: Path, rows: Rows) -> None:
    blocks = []
    for row in rows:
        words = enumerate(next(iter(row.values())).split(), start=1)
        blocks.append("".join(f"{i}\t{w}" + "\t_" * 8 + "\n" for i, w in words))
    path.write_text("\n".join(blocks) + "\n")


def squad(path: Path, rows: Rows) -> None:
    paragraphs = [
        {"context": row.get("context", ""), "qas": [{"id": str(i)} | row]}
        for i, row in enumerate(rows)
    ]
    path.write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}))


def by_column(path: Path, rows: Rows) -> None:
    path.write_text(json.dumps({name: [row[name] for row in rows] for name in rows[0]}))


def saved(path: Path, rows: Rows) -> None:
    """As `datasets.save_to_disk` lays it out."""
    path.mkdir()
    table = pa.Table.from_pylist(rows)
    with (
        pa.OSFile(str(path / "data.arrow"), "wb") as file,
        pa.ipc.new_stream(file, table.schema) as w,
    ):
        w.write_table(table)
    (path / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data.arrow"}]}))
    (path / "dataset_info.json").write_text("{}")


def frame(write: Callable[[pd.DataFrame, Path], object]) -> Callable[[Path, Rows], object]:
    return lambda path, rows: write(pd.DataFrame(rows), path)


KINDS: dict[str, tuple[str, Callable[[Path, Rows], object]]] = {
    "lines": ("a.txt", lines),
    "lines.text": ("a.TEXT", lines),
    "lines without a name": ("lines", lines),
    "columns": ("a.conll", columns),
    "columns.txt": ("a.txt", columns),
    "treebank": ("a.conllu", treebank),
    "csv": ("a.csv", frame(lambda t, path: t.to_csv(path, index=False))),
    "csv.xz": ("A.CSV.XZ", frame(lambda t, path: t.to_csv(path, index=False, compression="xz"))),
    "tsv": ("a.tsv", frame(lambda t, path: t.to_csv(path, index=False, sep="\t"))),
    "jsonl": ("a.jsonl", frame(lambda t, path: t.to_json(path, orient="records", lines=True))),
    "jsonl.txt": ("a.txt", frame(lambda t, path: t.to_json(path, orient="records", lines=True))),
    "json": ("a.json", frame(lambda t, path: t.to_json(path, orient="records"))),
    "json of columns": ("a.json", by_column),
    "squad": ("a.json", squad),
    "parquet": ("a.parquet", frame(lambda t, path: t.to_parquet(path))),
    "feather": ("a.feather", frame(lambda t, path: t.to_feather(path))),
    "saved": ("saved", saved),
}
RECORDS = ("jsonl", "jsonl.txt", "json", "parquet", "feather", "saved")
# What has to be read; anything else may be refused.
MUST = {
    *((family, kind) for family in FIELDS if family != "span_qa" for kind in RECORDS),
    *((family, kind) for family in FIELDS if family not in ("span_qa", "tagging")
      for kind in ("csv", "csv.xz", "json of columns")),
    *((family, kind) for family in SINGLE for kind in ("lines", "lines.text")),
    *(("span_qa", kind) for kind in ("squad", "jsonl", "json", "parquet", "feather", "saved")),
    ("tagging", "columns"), ("tagging", "treebank"),
}  # fmt: skip


def config(family: str, train: str) -> FinetuneConfig:
    pair = {"text_pair": "other"} if family == "pairs" else {}
    choices = {"choices": ("first", "second")} if family == "multiple_choice" else {}
    task = TaskConfig(family="classification" if family == "pairs" else family)
    return FinetuneConfig(task=task, data=ExamplesConfig(train=train, **pair, **choices))


def expected(family: str, rows: Rows) -> list[tuple[str, ...]]:
    if family == "tagging":
        return [tuple(row["text"].split()) for row in rows]
    return [tuple(row[name] for name in FIELDS[family]) for row in rows]


@pytest.mark.parametrize("family", FIELDS)
@settings(max_examples=60)
@given(st.data(), st.sampled_from(sorted(KINDS)), st.sampled_from(["a.tsv", "a.txt", "a.jsonl"]))
def test_it_is_read_as_what_it_is_or_refused(family, data, kind, train):
    row = st.fixed_dictionaries(dict.fromkeys(FIELDS[family], text))
    rows = data.draw(st.lists(row, min_size=1, max_size=5))
    name, write = KINDS[kind]
    with tempfile.TemporaryDirectory() as scratch:
        write(Path(scratch) / name, rows)
        try:
            found, left = read_unlabelled(f"{scratch}/{name}", config(family, train))
        except UserError:
            alike = family == "tagging" and kind == "lines" and train == "a.txt"
            assert (family, kind) not in MUST or alike  # these lines may be columns as well
            return
    assert [example.texts for example in found] == expected(family, rows)
    assert left == 0
