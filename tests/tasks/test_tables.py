"""Tables in every layout, and one line for everything that can be wrong with them."""

from __future__ import annotations

import csv
import gzip
import json
import lzma
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertjax.config import ExamplesConfig
from bertjax.errors import UserError
from bertjax.tasks.tables import Row, read_table, row_account

SKIP = ExamplesConfig(skip_bad_rows=True)


def write(path: Path, content: str | bytes) -> str:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def values(path: str, data: ExamplesConfig, *columns: str) -> list[tuple[str, ...]]:
    rows = read_table(path, data, columns).rows
    return [tuple(row.texts[column] for column in columns) for row in rows]


def read(path: str, data: ExamplesConfig, *columns: str) -> tuple[list[Row], int]:
    """Rows of columns of text, and how many were left out."""
    account = row_account(data)
    return read_table(path, data, columns, account=account).rows, account.count


def test_tsv_has_no_quoting_and_keeps_places(tmp_path):
    path = write(tmp_path / "a.tsv", '\ufefftext\tlabel\n"half\t1\r\n\nit\'s "so"\t0')
    rows, skipped = read(path, ExamplesConfig(), "text", "label")
    assert rows == [
        Row(f"{path}:2", "0", {"text": '"half', "label": "1"}),
        Row(f"{path}:4", "1", {"text": 'it\'s "so"', "label": "0"}),
    ]
    assert skipped == 0


@pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip.compress), (".xz", lzma.compress)])
def test_compressed(tmp_path, suffix, pack):
    path = write(tmp_path / f"a.tsv{suffix}", pack(b"text\tlabel\na\tb\n"))
    assert values(path, ExamplesConfig(), "label", "text") == [("b", "a")]


def test_columns_by_number_without_a_header(tmp_path):
    path = write(tmp_path / "a.txt", "a\tb\tc\nd\te\tf\n")
    data = ExamplesConfig(layout="tsv", header=False)
    assert values(path, data, "1", "-1", "-2") == [("a", "c", "b"), ("d", "f", "e")]
    with pytest.raises(UserError, match=r"a\.txt:1: no column '4' in 3 fields.*1 to 3, or -1"):
        read_table(path, data, ["4"])


cells = st.text(st.sampled_from("ab \",\n\r'é\t"), max_size=6).map(lambda cell: cell + "x")


@given(st.lists(st.tuples(cells, cells), min_size=1, max_size=5))
def test_csv_is_what_the_standard_library_writes(tmp_path_factory, drawn):
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("text", "label"), *drawn])
    assert values(str(path), ExamplesConfig(), "text", "label") == drawn


def test_csv_places_are_first_lines(tmp_path):
    path = write(tmp_path / "a.csv", 'text,label\n"two\nlines",1\nb,2\n')
    rows, _ = read(path, ExamplesConfig(), "text")
    assert [row.place for row in rows] == [f"{path}:2", f"{path}:4"]


def test_jsonl_reaches_into_nested_fields_and_keeps_labels_as_they_are(tmp_path):
    lines = [
        {"a": {"b": "x"}, "label": ["u", "v"], "id": "first"},
        {"a.b": "whole", "label": 3},
        {"a": {"b": 1.5}, "label": True, "id": 7},
    ]
    path = write(tmp_path / "a.jsonl", "\n\n".join(map(json.dumps, lines)))
    rows = read_table(path, ExamplesConfig(), ["a.b"], ["label"]).rows
    assert [(row.texts["a.b"], row.labels["label"]) for row in rows] == [
        ("x", ["u", "v"]),
        ("whole", 3),
        ("1.5", True),
    ]
    assert [row.id for row in rows] == ["first", "1", "7"]
    assert [row.place for row in rows] == [f"{path}:{line}" for line in (1, 3, 5)]


def test_parquet(tmp_path):
    path = str(tmp_path / "a.parquet")
    table = {"idx": [5, 6], "text": ["a", "b"], "more": [{"label": 0}, {"label": 1}]}
    pq.write_table(pa.table(table), path)
    rows, _ = read(path, ExamplesConfig(), "text", "more.label")
    assert rows[1] == Row(f"{path}:2", "6", {"text": "b", "more.label": "1"})
    with pytest.raises(UserError, match=r"a\.parquet: no column 'txt': did you mean 'text'"):
        read_table(path, ExamplesConfig(), ["txt"])
    with pytest.raises(UserError, match=r"b\.parquet: cannot be read"):
        read_table(write(tmp_path / "b.parquet", b"PAR1 not"), ExamplesConfig(), ["text"])


def test_tfds_names_classes_and_decodes_bytes(tmp_path):
    tfds = pytest.importorskip("tensorflow_datasets")
    features = tfds.features.FeaturesDict(
        {
            "idx": tfds.features.Scalar(np.int32),
            "sentence": tfds.features.Text(),
            "label": tfds.features.ClassLabel(names=["negative", "positive"]),
            "topics": tfds.features.Sequence(tfds.features.ClassLabel(names=["u", "v"])),
        }
    )
    rows = [(10, "zwei – drei", 1, [0, 1]), (11, "one", 0, [1])]
    examples = [dict(zip(features, row, strict=True)) for row in rows]
    spec = f"tfds:{make_tfds(tfds, tmp_path / 'made' / '1.0.0', features, examples)}:train"
    assert values(spec, ExamplesConfig(), "sentence", "label") == [
        ("zwei – drei", "positive"),
        ("one", "negative"),
    ]
    table = read_table(spec, ExamplesConfig(), ["sentence"], ["topics", "label"])
    assert [row.labels["topics"] for row in table.rows] == [["u", "v"], ["v"]]
    assert table.classes["label"] == ("negative", "positive")
    assert read(spec, ExamplesConfig(), "label")[0][0] == Row(
        f"{spec}:1", "10", {"label": "positive"}
    )
    with pytest.raises(UserError, match="no column 'sentense': did you mean 'sentence'"):
        read_table(spec, ExamplesConfig(), ["sentense"])
    with pytest.raises(UserError, match="no split 'tain': did you mean 'train'"):
        read_table(spec.replace(":train", ":tain"), ExamplesConfig(), ["label"])
    with pytest.raises(UserError, match="tfds:no_such_set: cannot be opened"):
        read_table("tfds:no_such_set:train", ExamplesConfig(), ["label"])


def make_tfds(tfds, directory: Path, features, examples: list[dict]) -> Path:
    """Write a data set with TFDS's own tools."""
    from array_record.python.array_record_module import ArrayRecordWriter

    directory.mkdir(parents=True)
    template = tfds.core.ShardedFileTemplate(
        data_dir=directory, dataset_name="made", split="train", filetype_suffix="array_record"
    )
    writer = ArrayRecordWriter(str(template.sharded_filepath(shard_index=0, num_shards=1)))
    for example in examples:
        writer.write(features.serialize_example(features.encode_example(example)))
    writer.close()
    split = tfds.core.SplitInfo(
        name="train", shard_lengths=[len(examples)], num_bytes=9, filename_template=template
    )
    tfds.folder_dataset.write_metadata(
        data_dir=directory, features=features, split_infos=[split], check_data=False
    )
    return directory


BAD_ROWS = [
    ("a.tsv", "text\tlabel\na\t1\nb\n", r"a\.tsv:3: 1 fields where the first line has 2"),
    ("a.tsv", "text\tlabel\na\t1\n \t1\n", r"a\.tsv:3: column 'text' is blank"),
    ("a.csv", "text,label\na,1\na,b,1\n", r"a\.csv:3: 3 fields where the first line has 2"),
    ("a.jsonl", '{"text": "a", "label": 1}\n{"text"\n', r"a\.jsonl:2: not JSON"),
    ("a.jsonl", '{"text": "a", "label": 1}\n' + "[" * 10**5, r"a\.jsonl:2: not JSON"),
    ("a.jsonl", '{"text": "a", "label": 1}\n["a"]\n', r"a\.jsonl:2: a JSON list, not an object"),
    (
        "a.jsonl",
        '{"text": "a", "label": 1}\n{"txt": "a", "label": 1}\n',
        r"a\.jsonl:2: no field 'text': did you mean 'txt'",
    ),
    (
        "a.jsonl",
        '{"text": "a", "label": 1}\n{"text": null, "label": 1}\n',
        r"a\.jsonl:2: field 'text' holds null, not text",
    ),
    (
        "a.jsonl",
        '{"text": "a", "label": 1}\n{"text": ["a"], "label": 1}\n',
        r"a\.jsonl:2: field 'text' holds list, not text",
    ),
    (
        "a.jsonl",
        '{"text": "a", "label": 1}\n{"text": "\\ud800", "label": 1}\n',
        r"a\.jsonl:2: field 'text' holds half a surrogate pair",
    ),
]


@pytest.mark.parametrize(("name", "content", "message"), BAD_ROWS)
def test_bad_rows_are_refused_or_counted(tmp_path, name, content, message):
    path = write(tmp_path / name, content)
    with pytest.raises(UserError, match=message + ".*data.skip_bad_rows=true") as refused:
        read_table(path, ExamplesConfig(), ["text", "label"])
    assert "\n" not in str(refused.value)
    rows, skipped = read(path, SKIP, "text", "label")
    assert [row.texts for row in rows] == [{"text": "a", "label": "1"}]
    assert skipped == 1


BAD_FILES = [
    ("a.tsv", "", r"a\.tsv: the file is empty"),
    ("a.csv", "\n\n", r"a\.csv: the file is empty"),
    ("a.jsonl", "\n", r"a\.jsonl: the file is empty"),
    ("a.tsv", "good film\t1\n", r"a\.tsv:1: the header has no column 'text'.*data.header=false"),
    ("a.tsv", "texts\tlabel\n", r"the header has no column 'text': did you mean 'texts'"),
    ("a.tsv", "text\ttext\tlabel\n", r"a\.tsv:1: the header has 'text' 2 times"),
    ("a.csv", 'text,label\na,1\n"b,1\nc,1\n', r"a\.csv:3: not CSV from here on"),
    ("a.tsv", b"text\tlabel\nb\xff\t1\n", r"a\.tsv:2: not UTF-8"),
    ("a.dat", "text", r"a\.dat: a file whose name says no layout, not a table.*data.layout"),
    ("a.xlsx", "text", r"a\.xlsx: a spreadsheet, which is not read: save it as CSV"),
    ("a.tsv.gz", b"plain", r"a\.tsv\.gz: named \.gz and not compressed so"),
]


@pytest.mark.parametrize(("name", "content", "message"), BAD_FILES)
def test_bad_files_are_refused_whatever_may_be_skipped(tmp_path, name, content, message):
    path = write(tmp_path / name, content)
    for data in (ExamplesConfig(), SKIP):
        with pytest.raises(UserError, match=message) as refused:
            read_table(path, data, ["text", "label"])
        assert "\n" not in str(refused.value)


def test_missing_files(tmp_path):
    for name in ("a.tsv", "a.parquet"):
        with pytest.raises(UserError, match=rf"{name}: (no such file|cannot be read)"):
            read_table(str(tmp_path / name), ExamplesConfig(), ["text"])


def test_shards_of_a_directory_or_a_pattern_are_one_table(tmp_path):
    for shard in range(2):
        table = pa.table({"text": [f"a{shard}", f"b{shard}"], "label": [0, 1]})
        pq.write_table(table, tmp_path / f"train-0000{shard}-of-00002.parquet")
    for name in (tmp_path, tmp_path / "train-*.parquet"):
        rows, _ = read(str(name), ExamplesConfig(), "text")
        assert [row.texts["text"] for row in rows] == ["a0", "b0", "a1", "b1"]
        assert [row.id for row in rows] == ["0", "1", "2", "3"]
    pq.write_table(table, tmp_path / "validation-00000-of-00001.parquet")
    with pytest.raises(UserError, match=r"holds files of the splits train, validation: name one"):
        read(str(tmp_path), ExamplesConfig(), "text")
    write(tmp_path / "train_without_test.tsv", "text\na\n")
    assert len(read(str(tmp_path / "train_without_test.tsv"), ExamplesConfig(), "text")[0]) == 1


def test_items_of_lists_are_columns_by_number(tmp_path):
    line = {"article": "t", "options": ["x", "y"], "answer": "B"}
    path = write(tmp_path / "a.jsonl", json.dumps(line) + "\n")
    assert values(path, ExamplesConfig(), "article", "options.1") == [("t", "y")]


def test_a_tab_may_be_spelt_out(tmp_path):
    path = write(tmp_path / "a.csv", "text\tlabel\na,b\tc\n")
    for separator in ("", "\t", "\\t"):
        assert values(path, ExamplesConfig(separator=separator), "text") == [("a,b",)]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-8"])
def test_what_excel_saves(tmp_path, encoding):
    """CSV with semicolons and a mark, and `Unicode text`, which is TSV in UTF-16."""
    content = 'text;label\r\n"größer; ""so""\nzwei";1,5\r\n'
    path = write(tmp_path / "a.csv", content.encode(encoding))
    assert values(path, ExamplesConfig(), "text", "label") == [('größer; "so"\nzwei', "1,5")]
    path = write(tmp_path / "a.txt", "text\tlabel\r\ngrößer\t1\r\n".encode(encoding))
    assert values(path, ExamplesConfig(layout="tsv"), "text", "label") == [("größer", "1")]


def test_nan_is_no_text(tmp_path):
    path = write(tmp_path / "a.jsonl", '{"text": NaN}\n')
    with pytest.raises(UserError, match="field 'text' holds null, not text"):
        read(path, ExamplesConfig(), "text")


@pytest.mark.parametrize("nothing", [" \t", "\u200b", "\ufeff\u200e", "\x07", "\u200d"])
def test_a_text_of_which_nothing_is_seen_is_blank(tmp_path, nothing):
    path = write(tmp_path / "a.jsonl", json.dumps({"text": f"a{nothing}"}) + "\n")
    assert values(path, ExamplesConfig(), "text") == [(f"a{nothing}",)]
    path = write(tmp_path / "a.jsonl", json.dumps({"text": nothing}) + "\n")
    with pytest.raises(UserError, match="column 'text' is blank"):
        read(path, ExamplesConfig(), "text")


@pytest.mark.parametrize(
    ("content", "noted"),
    [
        ('a\t"neg"\nb\t"pos"\n', ["label"]),
        ('a\t"neg"\nb\tneg\nc\t"pos"\n', ["label"]),
        ('"a"\tneg\n"b"\tpos\n', ["text"]),
        ('"a"\tneg\nb\t"pos"\n', []),
        ('"a"\tneg\na\tpos\n', []),
    ],
)
def test_quotes_that_are_taken_for_text_are_noted(tmp_path, content, noted):
    path = write(tmp_path / "a.tsv", "text\tlabel\n" + content)
    for quotes in ("auto", "literal"):
        data = ExamplesConfig(quotes=quotes)
        account = row_account(data)
        read_table(path, data, ("text",), ("label",), account)
        said = [f"values of column {name!r} are in quotes" for name in noted]
        assert [note.split(": ")[1].split(",")[0] for note in account.notes] == (
            said if quotes == "auto" else []
        )
