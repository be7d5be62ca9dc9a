"""What a name stands for: directories with links, patterns, pipes, and what is passed over."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bertjax.errors import UserError
from bertjax.text.account import Account
from bertjax.text.inputs import files_below, find_inputs
from bertjax.text.layouts import SUFFIXES, layout_of


def found(name, account=None, field="text") -> list[tuple[str, str]]:
    inputs = find_inputs(str(name), field, account or Account())
    return [(os.path.relpath(i.name, name), i.layout) for i in inputs]


@given(
    st.sampled_from([(layout, s) for layout, group in SUFFIXES.items() for s in group]),
    st.sampled_from(["", ".gz", ".BZ2", ".zst", ".Xz"]),
    st.booleans(),
)
def test_suffixes_say_the_layout_in_any_case(tmp_path_factory, suffix, packed, upper):
    layout, ending = suffix
    name = f"a{ending.upper() if upper else ending}{packed}"
    assert layout_of(str(tmp_path_factory.getbasetemp() / name)) == layout


def test_a_directory_is_read_whole_and_says_what_it_passes_over(tmp_path):
    for name, content in {
        "a.txt": "text",
        "deep/b.NDJSON": '{"text": "a"}',
        "c.json": '[{"text": "a"}]',
        "d.csv": "text,label\na,b\n",
        "e.tsv": "no,such\n",
        "dataset_infos.json": '{"version": 1}',
        "f.png": "",
        "README": "read me",
        ".hidden.txt": "x",
        "g.conllu": "1\ta\n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    account = Account()
    assert found(tmp_path, account) == [
        ("a.txt", "text"), ("c.json", "json"), ("d.csv", "csv"), ("deep/b.NDJSON", "jsonl")
    ]  # fmt: skip
    assert dict(account.aside) == {
        "JSON files without 'text'": 1,
        "TSV files without 'text'": 1,
        ".png files": 1,
        "nameless files": 1,
        "CoNLL-U files without 'text'": 1,
    }


def test_links_are_followed_once(tmp_path):
    tree, other = tmp_path / "tree", tmp_path / "other"
    for path in (tree / "sub" / "a.txt", other / "b.txt"):
        path.parent.mkdir(parents=True)
        path.write_text("text")
    (tree / "more").symlink_to("../other")
    (tree / "again").symlink_to("../other")
    (tree / "loop").symlink_to("..")
    (tree / "sub" / "up").symlink_to("..")
    (tree / "gone.txt").symlink_to("nowhere")
    (other / "back").symlink_to("../tree")
    (tree / "file.txt").symlink_to("../other/b.txt")
    account = Account()
    names = [str(path.relative_to(tree)) for path in files_below(tree, account)]
    assert names == ["again/b.txt", "file.txt", "sub/a.txt"]
    assert account.aside.total() == 5


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=8))
def test_any_links_end_and_every_file_below_is_found(tmp_path_factory, links):
    """Oracle: the directories that can be reached from the first one without a way up."""
    root = tmp_path_factory.mktemp("links")
    for i in range(5):
        (root / str(i)).mkdir()
        (root / str(i) / f"{i}.txt").write_text("x")
    for number, (start, end) in enumerate(links):
        (root / str(start) / f"link{number}").symlink_to(f"../{end}")
    reached, fresh = set(), {0}
    while fresh:
        reached |= fresh
        fresh = {end for start, end in links if start in reached} - reached
    names = [path.name for path in files_below(root / "0", Account())]
    assert sorted(names) == sorted(f"{i}.txt" for i in reached)


def test_links_that_were_written_as_files_are_said(tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "a.txt").write_text("text")
    (tmp_path / "more").write_text("other")
    (tmp_path / "note").write_text("no such path")
    account = Account()
    assert [name for name, _ in found(tmp_path, account)] == ["a.txt"]
    (link,) = (kind for kind in account.aside if "symbolic" in kind)
    assert account.aside == {link: 1, "nameless files": 1}


def test_patterns_and_what_is_not_there(tmp_path):
    for i in range(3):
        (tmp_path / f"train-{i}.jsonl").write_text('{"text": "a"}')
    assert len(find_inputs(str(tmp_path / "train-*.jsonl"), "text", Account())) == 3
    for name in ("test-*.jsonl", "gone.txt"):
        with pytest.raises(UserError, match="no such file or directory"):
            find_inputs(str(tmp_path / name), "text", Account())


@pytest.mark.parametrize(
    ("name", "fix"),
    [("a.xlsx", "save it as CSV"), ("a.PDF", "text as .txt"), ("a.html", "extract")],
)
def test_what_is_never_read_says_what_to_do(tmp_path, name, fix):
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(UserError, match=f"which is not read: .*{fix}"):
        find_inputs(str(tmp_path / name), "text", Account())


STAND_INS = {
    "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n": "git lfs pull",
    '<doc id="1" url="u" title="T">\nT\n\ntext\n</doc>\n': "--json",
}


@pytest.mark.parametrize("name", ["a.txt", "a.parquet", "a.csv", "a.jsonl", "wiki_00"])
@pytest.mark.parametrize("content", sorted(STAND_INS))
def test_what_stands_for_a_file_is_none(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=STAND_INS[content]):
        find_inputs(str(tmp_path / name), "text", Account())


@pytest.mark.parametrize("layout", ["conll", "csv"])
def test_a_name_and_a_layout_that_contradict_are_refused(tmp_path, layout):
    for name in ("a.jsonl", "a.PARQUET", "b.json.gz"):
        (tmp_path / name).write_text("")
        with pytest.raises(UserError, match=rf"but data\.layout={layout}: set data\.layout= to go"):
            find_inputs(str(tmp_path / name), "text", Account(), layout)
    (tmp_path / "a.tsv").write_text("a\tb\n")
    assert find_inputs(str(tmp_path / "a.tsv"), "text", Account(), layout)[0].layout == layout


def test_text_is_json_lines_if_its_first_line_holds_the_field(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text(json.dumps({"text": "a"}) + "\n")
    assert found(path)[0][1] == "jsonl"
    path.write_text(json.dumps({"body": "a"}) + "\n")
    assert found(path)[0][1] == "text"
    path.write_text("{not json}\n{}\n")
    assert found(path)[0][1] == "text"
