"""Corpora from text with bad documents: refused at the first, or left out, counted and named."""

from __future__ import annotations

import gzip
import json
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bertjax.errors import UserError
from bertjax.text import chunks, sources
from bertjax.text.account import Account
from bertjax.text.chunks import documents
from bertjax.text.sources import find_sources


def read(path, skip: bool = True, **options) -> tuple[list[str], Account]:
    account = Account(skip, "; or leave such documents out with --skip-bad")
    found = find_sources([str(path)], account=account, **options)
    texts = [d for s in found for c in s.chunks(account) for d in documents(c, account)]
    return texts, account


GOOD = [f"document {i} – good" for i in range(40)]
LINES = {  # kind of problem: a line of JSON Lines with it
    "not JSON": b'{"text": ',
    "not UTF-8": b'{"text": "caf\xe9"}',
    "binary": b'{"text": "a\0b"}',
    "no text": b'{"text": null}',
    "not text": b'{"text": 7}',
    "no such field": b'{"txt": "a"}',
    "not an object": b"[1]",
    "too long": b'{"text": "' + b"x" * 400 + b'"}',
}
STORED = {  # kind of problem: a document of a text file with it
    "not UTF-8": b"caf\xe9\nau lait",
    "binary": b"a\0b",
    "too long": b"x y\n" * 100,
}


def mixed(good: list[bytes], bad: dict[str, bytes], order: list[str | None]) -> list[bytes]:
    left = iter(good)
    return [next(left) if kind is None else bad[kind] for kind in order]


kinds = st.lists(st.none() | st.sampled_from(sorted(LINES)), max_size=40)
stored_kinds = st.lists(st.none() | st.sampled_from(sorted(STORED)), max_size=40)


@settings(max_examples=60)
@given(kinds, st.integers(1, 500))
def test_bad_lines_are_left_out_and_counted_by_kind(tmp_path_factory, order, chunk_bytes):
    good = [json.dumps({"text": text}, ensure_ascii=False).encode() for text in GOOD]
    path = tmp_path_factory.mktemp("bad") / "a.jsonl"
    path.write_bytes(b"\n".join([good[-1], *mixed(good, LINES, order)]))
    check(path, [GOOD[-1], *GOOD[: order.count(None)]], order, chunk_bytes)


@settings(max_examples=60)
@given(stored_kinds, st.integers(1, 500))
def test_bad_documents_of_text_are_left_out_whole(tmp_path_factory, order, chunk_bytes):
    good = [text.encode() for text in GOOD]
    path = tmp_path_factory.mktemp("bad") / "a.txt"
    path.write_bytes(b"\n \n".join([good[-1], *mixed(good, STORED, order)]))
    check(path, [GOOD[-1], *GOOD[: order.count(None)]], order, chunk_bytes)


def check(path, expected: list[str], order: list[str | None], chunk_bytes: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "CHUNK_BYTES", chunk_bytes)
        patch.setattr(chunks, "MAX_DOCUMENT_BYTES", 300)
        patch.setattr(sources, "MAX_DOCUMENT_BYTES", 300)
        texts, account = read(path)
        assert texts == expected
        assert account.left == Counter(kind for kind in order if kind)
        if any(order):
            with pytest.raises(UserError, match="--skip-bad") as refused:
                read(path, skip=False)
            assert str(refused.value).startswith(account.first)
            assert str(path) in account.first


def test_a_document_that_never_ends_is_left_out_and_what_follows_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "CHUNK_BYTES", 100)
    monkeypatch.setattr(chunks, "MAX_DOCUMENT_BYTES", 300)
    monkeypatch.setattr(sources, "MAX_DOCUMENT_BYTES", 300)
    path = tmp_path / "a.txt"
    path.write_text("one\n\n" + "x y\n" * 1000 + "\n\ntwo\n\nthree")
    texts, account = read(path)
    assert texts == ["one", "two", "three"] and account.left == {"too long": 1}


@pytest.mark.parametrize("layout", ["jsonl", "csv", "json", "parquet"])
def test_every_layout_leaves_out_rows_without_text(tmp_path, layout):
    path = tmp_path / f"a.{layout}"
    rows = [{"text": "a"}, {"text": None}, {"text": " "}, {"text": "b"}]
    if layout == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif layout == "csv":
        path.write_text("text,n\na,1\ntoo,many,fields\n ,3\nb,2\n")
    else:
        lines = map(json.dumps, rows)
        path.write_text("\n".join(lines) if layout == "jsonl" else f"[{','.join(lines)}]")
    texts, account = read(path)
    assert texts == ["a", "b"] and account.count == 1 and account.aside == {"blank documents": 1}
    with pytest.raises(UserError, match=r"a\.\w+:? ?(line )?[23]: "):
        read(path, skip=False)


def test_empty_and_damaged_files_are_counted_as_files(tmp_path):
    (tmp_path / "a.txt").write_text("text")
    (tmp_path / "b.txt").write_bytes(b"")
    whole = gzip.compress("\n\n".join(GOOD * 99).encode())
    (tmp_path / "c.txt.gz").write_bytes(whole[: len(whole) // 2])
    texts, account = read(tmp_path)
    assert texts[0] == "text" and set(texts[1:]) <= set(GOOD)  # none is half a document
    assert account.left == {"empty file": 1, "damaged file": 1}
    assert "b.txt: the file is empty" in account.first
    with pytest.raises(UserError, match="the file is empty"):
        read(tmp_path, skip=False)


def test_the_closing_lines_say_what_was_read_and_left_out(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n{"text": 7}\n[1]\n{"text": 8}\n')
    (tmp_path / "b.png").write_text("")
    _, account = read(tmp_path)
    assert account.lines() == [
        ("read", "files: 1 JSON Lines"),
        (
            "left out",
            f"3 (2 not text, 1 not an object), the first: {tmp_path}/a.jsonl: line 2: field "
            "'text' holds 7, not a string: correct it, or name the field that holds "
            "the text, with --text-field, or FILE:FIELD of --probes",
        ),
        ("not read", ".png files (1)"),
    ]


@pytest.fixture(params=["parquet", "arrow", "saved"])
def arrow_file(request, tmp_path):
    """What writes a table as a file of one of the kinds, or as a saved data set of one."""

    def write(table):
        if request.param == "parquet":
            pq.write_table(table, tmp_path / "a.parquet")
            return tmp_path / "a.parquet"
        path = tmp_path / "saved" if request.param == "saved" else tmp_path
        path.mkdir(exist_ok=True)
        with pa.ipc.new_file(path / "a.arrow", table.schema) as file:
            file.write_table(table)
        state = {"_data_files": [{"filename": "a.arrow"}]}
        (path / "state.json").write_text(json.dumps(state))
        return path if request.param == "saved" else path / "a.arrow"

    return write


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_a_field_of_every_object_in_a_list_is_a_line_each(tmp_path, suffix):
    rows = [[{"role": "user", "content": "hello"}, {"role": "x", "content": "there"}], []]
    path = tmp_path / f"a.{suffix}"
    if suffix == "parquet":
        pq.write_table(pa.table({"messages": rows}), path)
    else:
        path.write_text("".join(json.dumps({"messages": row}) + "\n" for row in rows))
    assert read(path, field="messages.content")[0] == ["hello\nthere"]
    with pytest.raises(UserError, match=r"such as messages\.role or messages\.content"):
        read(path, skip=False, field="messages")


def test_lists_and_structs_of_text(tmp_path):
    path = tmp_path / "a.parquet"
    table = {"text": [["a", "b"], ["c"]], "s": [{"t": "x"}, {"t": "y"}], "b": [b"x", b"y"]}
    pq.write_table(pa.table(table), path)
    assert read(path)[0] == ["a\nb", "c"]
    assert read(path, field="s.t")[0] == read(path, field="b")[0] == ["x", "y"]
    with pytest.raises(UserError, match=r"column 's' holds struct.* such as s\.t"):
        read(path, field="s")


def test_json_lines_called_json_may_begin_with_a_broken_one(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"text": "a}\n{"text": "b"}\n{"text": "c"}\n')
    texts, account = read(path)
    assert texts == ["b", "c"] and account.left == {"not JSON": 1}
    path.write_text('{"data": [\n{"text": "a"}\n]}\n')
    assert read(path)[0] == ["a"]


@pytest.mark.parametrize("chunk_bytes", [1, 1 << 20])
@pytest.mark.parametrize("suffix", ["txt", "jsonl", "csv"])
def test_marks_of_joined_files_cost_no_document(tmp_path, monkeypatch, suffix, chunk_bytes):
    """Whatever bytes chunks end at, and each chunk still says where it lies in the file."""
    monkeypatch.setattr(sources, "CHUNK_BYTES", chunk_bytes)
    parts = {"txt": ["a\n\n", "b\nc\n\n"], "jsonl": ['{"text": "a"}\n', '{"text": "b\\nc"}\n']}
    parts["csv"] = ["text\n", 'a\n"b\nc"\n']
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(b"".join(part.encode("utf-8-sig") for part in parts[suffix]))
    texts, account = read(path)
    assert texts == ["a", "b\nc"] and not account.left
    if suffix != "csv":
        (source,) = find_sources([str(path)])
        for chunk in source.chunks():
            stored = path.read_bytes()[chunk.offset : chunk.offset + chunk.size]
            assert source.is_plain() and chunk.payload == stored


def test_returns_that_end_no_line_are_noted_once(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "CHUNK_BYTES", 1)
    path = tmp_path / "a.txt"
    path.write_bytes(b"one\rstill one\r\n\r\ntwo\rstill two\n")
    texts, account = read(path)
    assert texts == ["one\rstill one", "two\rstill two"]
    assert [note.split(": ")[1][:40] for note in account.notes] == [
        "carriage returns without a line feed, wh"
    ]


def test_columns_of_one_name_are_refused_where_they_are_asked_for(tmp_path, arrow_file):
    table = pa.table([["a"], ["b"], ["c"], [1], [2]], names=["text", "text", "other", "id", "id"])
    path = arrow_file(table)
    with pytest.raises(UserError, match="the header has 'text' 2 times: rename all but one"):
        read(path)
    assert read(path, field="other")[0] == ["c"]
    twice = pa.StructArray.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["x", "x"])
    path = arrow_file(pa.table({"text": twice}))
    with pytest.raises(UserError, match=r"the header has 'text\.x' 2 times: rename all but one"):
        read(path, field="text.x")
