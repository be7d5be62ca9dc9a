"""The bytes of files: whatever packs and encodes a text, the same text comes out."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import subprocess
import sys
import tarfile
import threading
import zipfile
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bertjax.errors import UserError
from bertjax.text.account import Account, Problem
from bertjax.text.stored import check_text, inner_name, open_stored, read_text, text_lines


def zipped(data: bytes, **members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in {"a.txt": data, **members}.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def zstd(data: bytes) -> bytes:
    return pa.Codec("zstd").compress(data, asbytes=True)


PACKERS = {"": bytes, ".gz": gzip.compress, ".xz": lzma.compress, ".bz2": bz2.compress,
           ".zst": zstd, ".zip": zipped}  # fmt: skip
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-32")  # the last two with their marks

lines = st.lists(st.text(st.characters(exclude_characters="\r\n\ufeff", codec="utf-8")), min_size=1)


@given(
    lines,
    st.sampled_from(sorted(PACKERS)),
    st.sampled_from(ENCODINGS),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.integers(1, 70),
    st.booleans(),
)
def test_any_packing_encoding_and_line_end(
    tmp_path_factory, lines, suffix, encoding, newline, size, upper
):
    """Oracle: Python's own compressors, codecs and splitting at one line end."""
    text = newline.join([*lines, "end"])
    assume(encoding != "utf-16" or text[0] != "\0")  # the two begin as the mark of UTF-32 does
    path = tmp_path_factory.mktemp("stored") / f"a.txt{suffix.upper() if upper else suffix}"
    path.write_bytes(PACKERS[suffix](text.encode(encoding)))
    with open_stored(str(path)) as stored:
        blocks = list(stored.blocks(size))
        plain = suffix == "" and encoding.startswith("utf-8") and "\r" not in text
        assert stored.is_plain or not plain
        if stored.is_plain:
            assert path.read_bytes()[stored.offset :] == b"".join(blocks)
    assert text_lines(b"".join(blocks).decode()) == [*lines, "end"]


def test_what_packs_a_file_is_told_by_its_bytes_too(tmp_path):
    path = tmp_path / "a.txt"
    for pack in PACKERS.values():
        path.write_bytes(pack(b"text"))
        assert read_text(str(path), Account()) == "text"


def test_a_lone_return_amid_lines_ends_none(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"one\rstill one\ntwo\r\n\r\nfour")
    assert text_lines(read_text(str(path), Account())) == ["one\rstill one", "two", "", "four"]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.zip", zipped(b"x", b=b"y"), r"an archive of 2 files \(a.txt, b\): unpack it"),
        ("a.txt", "text".encode("utf-16-le") * 9, "every other byte is 0, as in UTF-16"),
        ("a.txt", b"\xff\xfe" + b"\x00\xd8" * 9, "begins as UTF-16 and is not"),
        ("a.txt", b"line\ncaf\xe9", r"a\.txt:2: not UTF-8 \(byte 0xe9\).*iconv.*GB18030"),
        ("a.zip", b"PK\x03\x04 no", "damaged or cut short"),
        ("a.txt.gz", b"plain text", r"named \.gz and not compressed so: correct its name"),
        ("a.zip", b"plain text", r"named \.zip and not compressed so"),
        (
            "a.txt.gz",
            gzip.compress(gzip.compress(b"text", mtime=0), mtime=0),
            "compressed twice: unpack it once",
        ),
        ("a.csv", b"PAR1\x15\x04", "a Parquet file by its first bytes: name it .parquet"),
        ("a.csv", zipped(b"x", **{"[Content_Types].xml": b"y"}), "of an office program, whatever"),
        ("a.tsv", b"text\tlabel\na\0b\t1\n", r"a\.tsv:2: byte 0, which no text has"),
        ("a.txt", b"\0" * 99, r"a\.txt:1: byte 0, which no text has"),
    ],
)
def test_what_is_no_text_is_refused_in_one_line(tmp_path, name, data, message):
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(UserError, match=message) as caught:
        read_text(str(path), Account())
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_why_a_file_is_missing_is_said(tmp_path):
    (tmp_path / "a.tsv").touch()
    (tmp_path / "b.tsv").touch()
    both = f"{tmp_path}/a.tsv,{tmp_path}/b.tsv"
    for name, fix in (
        ("https://example.org/a.tsv", "nothing is fetched: save it as a file"),
        (both, "of several files name the directory, or a pattern in quotes"),
        (f"{tmp_path}/a.tsv,{tmp_path}/c.tsv", "check the path"),
    ):
        with pytest.raises(UserError, match=f"no such file or directory: {fix}"):
            read_text(name, Account())


def test_a_tar_is_refused(tmp_path):
    (tmp_path / "b.txt").write_text("text")
    path = tmp_path / "a.txt.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(tmp_path / "b.txt", "b.txt")
    with pytest.raises(UserError, match="a tar archive: unpack it"):
        read_text(str(path), Account())


def test_a_few_bytes_that_are_not_utf8_are_a_matter_of_their_lines(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"good\n" * 9 + b"caf\xe9\n")
    lines = text_lines(read_text(str(path), Account(skip=True)))
    check_text(lines[0], "it")
    with pytest.raises(Problem, match="it holds byte 0xe9, no UTF-8") as caught:
        check_text(lines[9], "it")
    assert caught.value.kind == "not UTF-8"
    path.write_bytes(b"good\n" + b"caf\xe9\n" * 9)  # a file in another encoding
    with pytest.raises(UserError, match="not UTF-8"):
        read_text(str(path), Account(skip=True))


def test_the_member_of_an_archive_names_what_is_in_it(tmp_path):
    path = tmp_path / "reviews.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("__MACOSX/._train.csv", b"x")
        archive.writestr("reviews/.DS_Store", b"")
        archive.writestr("train.csv", b"text\n")
    assert inner_name(str(path)) == "train.csv"
    assert read_text(str(path), Account()) == "text\n"


def test_a_pipe_is_read_once_and_given_as_often_as_it_is_asked_for(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    data = gzip.compress(b"text\n" * 100_000)
    writer = threading.Thread(target=lambda: Path(pipe).write_bytes(data))
    writer.start()
    for _ in range(2):
        assert read_text(str(pipe), Account()) == "text\n" * 100_000
    writer.join()


def test_standard_input(tmp_path):
    program = (
        "from bertjax.text.account import Account; from bertjax.text.stored import read_text; "
        "print(read_text('-', Account()), read_text('-', Account()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=b"text",
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.stdout == b"text text\n"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("suffix", sorted({"", ".gz", ".xz", ".bz2"}))
def test_marks_of_joined_files_are_no_text(tmp_path, encoding, suffix):
    """As `cat a b` leaves them, packed or not."""
    path = tmp_path / f"a.csv{suffix}"
    parts = ["text\n\ufeffé\n", "", '"a\ufeffb"\r\n']
    path.write_bytes(b"".join(PACKERS[suffix](part.encode(encoding)) for part in parts))
    assert read_text(str(path), Account()) == 'text\né\n"a\ufeffb"\r\n'
