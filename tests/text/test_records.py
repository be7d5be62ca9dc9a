"""Rows of JSON, Parquet, Arrow and saved data sets, against pandas and `datasets`."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bertjax.errors import UserError
from bertjax.text.account import Account, Problem
from bertjax.text.delimited import Form
from bertjax.text.inputs import find_inputs
from bertjax.text.records import reach, read_records


def read(path: Path | str, *columns: str) -> list[dict]:
    found = find_inputs(str(path), columns[0], Account())
    return [
        fields
        for source in found
        for _, fields in read_records(source, columns, Form(), Account()).rows
    ]


ROWS = [{"text": "a\nb", "label": 1}, {"text": "ü 中 \u2028", "label": 0}]


@pytest.mark.parametrize("name", ["a.jsonl", "a.JSONL", "a.ndjson", "a.json", "part-00000", "a.jl"])
def test_json_lines_under_all_their_names(tmp_path, name):
    path = tmp_path / name
    path.write_text("\n\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS) + "\n")
    assert read(path, "text", "label") == ROWS


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize(
    "wrap",
    [
        list,
        lambda rows: {"version": "1", "data": rows},
        lambda rows: {"train": rows},
        lambda rows: {
            "features": [],
            "rows": [{"row_idx": i, "row": r} for i, r in enumerate(rows)],
        },
        lambda rows: {name: [row[name] for row in rows] for name in rows[0]},
    ],
    ids=["array", "data", "one list", "viewer", "columns"],
)
def test_json_in_one_piece(tmp_path, wrap, indent):
    path = tmp_path / "a.json"
    content = wrap(ROWS)
    if isinstance(content, dict) and "rows" in content:
        content = {"rows": content["rows"]}
    path.write_text(json.dumps(content, indent=indent))
    assert read(path, "text", "label") == ROWS


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_json_over_several_lines_whatever_it_is_called(tmp_path, name):
    path = tmp_path / name
    for text in (
        "\n".join(json.dumps(row, indent=1) for row in ROWS),
        json.dumps(ROWS, indent=1),
        f"[{json.dumps(ROWS[0])},\n {json.dumps(ROWS[1])}]",
    ):
        path.write_text(text)
        assert read(path, "text") == ROWS


@settings(max_examples=30)
@given(
    st.lists(st.tuples(st.text(min_size=1, max_size=5), st.integers(0, 9)), min_size=2, max_size=5),
    st.sampled_from(["records", "columns", "index", "split", "table"]),
)
def test_json_of_pandas_in_every_orientation(tmp_path_factory, rows, orient):
    pandas = pytest.importorskip("pandas")
    path = tmp_path_factory.mktemp("pandas") / "a.json"
    pandas.DataFrame(rows, columns=["text", "label"]).to_json(path, orient=orient)
    assert [(row["text"], row["label"]) for row in read(path, "text", "label")] == rows


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"a": 1, "b": [1], "c": [2]}', "a JSON object with a, b, c, in which there are no rows"),
        ('{"text": ["a", "b"], "label": [1]}', "its columns are not equally long"),
        ("3", "a JSON int, not a list of rows"),
        ("[1, 2", "not JSON"),
        (" ", "the file is empty"),
    ],
)
def test_json_without_rows_is_refused(tmp_path, content, message):
    path = tmp_path / "a.json"
    path.write_text(content)
    with pytest.raises(UserError, match=message) as caught:
        read(path, "text", "label")
    assert "\n" not in str(caught.value)


def test_texts_in_the_place_of_objects(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('["a", "b"]')
    assert read(path, "text") == [{"text": "a"}, {"text": "b"}]
    assert all(isinstance(row, Problem) for row in read(path, "text", "label"))


def test_lines_that_are_no_objects_are_problems(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a"}\n[1]\n{"text"\n')
    found = read(path, "text")
    assert found[0] == {"text": "a"}
    assert [problem.kind for problem in found[1:]] == ["not an object", "not JSON"]


def test_fields_are_reached_along_dots_and_by_number():
    fields = {"a": {"b": [10, {"c": 11}]}, "a.b": "whole"}
    assert reach(fields, "a.b") == "whole"
    assert reach({"x": fields}, "x.a.b.1.c") == 11
    for column in ("a.c", "a.b.2", "x"):
        with pytest.raises(Problem, match=f"no field '{column}'"):
            reach({"a": fields["a"]}, column)


# `datasets` as the oracle: what it writes is read with the values it would give.


@pytest.fixture(scope="module")
def hub():
    """Hugging Face's `datasets`, which cannot pickle this pyarrow's tables for a fingerprint."""
    datasets = pytest.importorskip("datasets")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.arrow_dataset, "generate_fingerprint", lambda _: "0" * 16)
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", "/nonexistent")
        yield datasets


def features(hub):
    names = hub.ClassLabel(names=["neg", "pos"])
    tags = hub.Sequence(hub.ClassLabel(names=["O", "B-X"]))
    answers = {"text": hub.Value("string"), "answer_start": hub.Value("int32")}
    return hub.Features(
        {"text": hub.Value("string"), "label": names, "tags": tags, "a": hub.Sequence(answers)}
    )


def made(hub, rows):
    columns = {
        "text": [f"text {i}" for i in range(len(rows))],
        "label": [label for label, _ in rows],
        "tags": [tags for _, tags in rows],
        "a": [{"text": ["x"], "answer_start": [i]} for i in range(len(rows))],
    }
    return hub.Dataset.from_dict(columns, features=features(hub))


def expected(rows):
    """Names for numbers, none for -1."""
    return [
        {
            "text": f"text {i}",
            "label": None if label < 0 else ("neg", "pos")[label],
            "tags": [("O", "B-X")[tag] for tag in tags],
            "a": {"text": ["x"], "answer_start": [i]},
        }
        for i, (label, tags) in enumerate(rows)
    ]


COLUMNS = ("text", "label", "tags", "a")
labelled = st.lists(
    st.tuples(st.integers(-1, 1), st.lists(st.integers(0, 1), max_size=4)), min_size=3, max_size=9
)


@settings(max_examples=15)
@given(labelled, st.integers(1, 3), st.sampled_from(["saved", "parquet", "arrow"]))
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_class_numbers_are_their_names(hub, tmp_path_factory, rows, shards, kind):
    folder = tmp_path_factory.mktemp("hub")
    data = made(hub, rows)
    path = folder / f"a.{kind}"
    if kind == "parquet":
        data.to_parquet(path)
    else:
        data.save_to_disk(folder / "saved", num_shards=shards if kind == "saved" else 1)
        path = folder / "saved"
        if kind == "arrow":
            (path,) = path.glob("*.arrow")
    assert read(path, *COLUMNS) == expected(rows)
    source = find_inputs(str(path), "text", Account())[0]
    records = read_records(source, COLUMNS, Form(), Account())
    assert (records.classes["label"], records.classes["tags"]) == (("neg", "pos"), ("O", "B-X"))
    assert records.count == len(rows)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_saved_data_sets_of_several_splits_or_a_selection(hub, tmp_path):
    data = made(hub, [(0, [0]), (1, [1]), (0, [])])
    hub.DatasetDict(train=data, test=data).save_to_disk(tmp_path / "both")
    with pytest.raises(UserError, match=r"with the splits train, test: name one, such as .*train"):
        read(tmp_path / "both", "text")
    assert len(read(tmp_path / "both" / "train", "text")) == 3
    state = json.loads((tmp_path / "both" / "test" / "state.json").read_text())
    state["_indices_data_files"] = [{"filename": "indices.arrow"}]
    (tmp_path / "both" / "test" / "state.json").write_text(json.dumps(state))
    with pytest.raises(UserError, match=r"a selection of rows.*flatten_indices"):
        read(tmp_path / "both" / "test", "text")


def test_arrow_files_of_both_kinds_and_damaged_ones(tmp_path):
    table = pa.table({"text": ["a", "b"] * 100, "n": range(200)})
    with (
        pa.OSFile(str(tmp_path / "file.arrow"), "wb") as sink,
        pa.ipc.new_file(sink, table.schema) as writer,
    ):
        writer.write_table(table, max_chunksize=70)
    with (
        pa.OSFile(str(tmp_path / "stream.arrow"), "wb") as sink,
        pa.ipc.new_stream(sink, table.schema) as writer,
    ):
        writer.write_table(table, max_chunksize=70)
    pq.write_table(table, tmp_path / "no-suffix")
    for name in ("file.arrow", "stream.arrow", "no-suffix"):
        assert read(tmp_path / name, "text", "n") == table.to_pylist()
        data = (tmp_path / name).read_bytes()
        (tmp_path / f"cut-{name}").write_bytes(data[: len(data) // 2])
        with pytest.raises(UserError, match="cannot be read to its end"):
            read(tmp_path / f"cut-{name}", "text", "n")
