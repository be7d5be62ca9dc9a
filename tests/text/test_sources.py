import bz2
import gzip
import json
import lzma
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertjax.errors import UserError
from bertjax.text import chunks, sources
from bertjax.text.chunks import Chunk, documents
from bertjax.text.sample import sample_sentences
from bertjax.text.sources import find_sources


def read(*names: object, **options: object) -> list[str]:
    """Read whole inputs to documents."""
    found = find_sources([str(n) for n in names], **options)  # type: ignore[arg-type]
    return [d for source in found for chunk in source.chunks() for d in documents(chunk)]


def zstd(data: bytes) -> bytes:
    return pa.Codec("zstd").compress(data, asbytes=True)


TWO = "First line.\n  Second line. \r\n\n \t\nOther – document\n"
TWO_READ = ["First line.\nSecond line.", "Other – document"]


@pytest.mark.parametrize(
    ("suffix", "compress"),
    [
        (".txt", bytes),
        (".md", bytes),
        ("", bytes),
        (".txt.gz", gzip.compress),
        (".txt.xz", lzma.compress),
        (".txt.zst", zstd),
        (".txt.bz2", bz2.compress),
        (".TXT.GZ", gzip.compress),
    ],
)
def test_text_files(tmp_path: Path, suffix: str, compress) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(compress(TWO.encode()))
    assert read(path) == TWO_READ


@pytest.mark.parametrize("compress", [gzip.compress, lzma.compress, zstd])
def test_concatenated_archives_are_read_whole(tmp_path: Path, compress) -> None:
    suffix = {gzip.compress: "gz", lzma.compress: "xz", zstd: "zst"}[compress]
    path = tmp_path / f"a.txt.{suffix}"
    path.write_bytes(compress(TWO.encode()) + compress(b"\nthird"))
    assert read(path) == [*TWO_READ, "third"]


def test_one_document_per_line(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\n\ntwo\n three")
    assert read(tmp_path / "a.txt", one_document_per_line=True) == ["one", "two", "three"]


def test_jsonl_keeps_lines_of_a_document_together(tmp_path: Path) -> None:
    records = [{"text": "a\n\nb", "id": 1}, {"text": "half \ud800 pair"}, {"text": " "}]
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, records)).encode()))
    assert read(path) == ["a\nb", "half \ufffd pair"]
    path.write_bytes(gzip.compress(b'{"body": "x"}\n\n{"body": "y"}'))
    assert read(path, field="body") == ["x", "y"]


def test_parquet_rows_are_documents(tmp_path: Path) -> None:
    texts = [f"document {i}\n\nend" for i in range(300)]
    pq.write_table(pa.table({"n": range(300), "text": texts}), tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet") == [t.replace("\n\n", "\n") for t in texts]


def test_directories_are_read_in_order(tmp_path: Path) -> None:
    for name in ("b.txt", "a/z.txt", "a/y.jsonl", "a.txt", ".hidden.txt", ".git/c.txt", "d.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"text": name}) if name.endswith("jsonl") else name)
    assert read(tmp_path) == ["a/y.jsonl", "a/z.txt", "a.txt", "b.txt"]


def test_tfds_directory_and_name(tmp_path: Path) -> None:
    tfds = pytest.importorskip("tensorflow_datasets")
    make_tfds(tfds, tmp_path / "made" / "1.0.0", ["one", "zwei – drei"])
    directory = tmp_path / "made" / "1.0.0"
    assert read(directory) == ["one", "zwei – drei"]
    assert read(f"tfds:{directory}:train") == ["one", "zwei – drei"]
    with pytest.raises(UserError, match="no split 'tain': did you mean 'train'"):
        read(f"tfds:{directory}:tain")
    with pytest.raises(UserError, match=r"no column 'txt'.*did you mean 'text'"):
        read(directory, field="txt")
    with pytest.raises(UserError, match="tfds:no_such_set: cannot be opened"):
        read("tfds:no_such_set")


def make_tfds(tfds, directory: Path, texts: list[str]) -> None:
    """Write a data set with TFDS's own tools."""
    from array_record.python.array_record_module import ArrayRecordWriter

    directory.mkdir(parents=True)
    features = tfds.features.FeaturesDict({"text": tfds.features.Text()})
    template = tfds.core.ShardedFileTemplate(
        data_dir=directory, dataset_name="made", split="train", filetype_suffix="array_record"
    )
    writer = ArrayRecordWriter(str(template.sharded_filepath(shard_index=0, num_shards=1)))
    for text in texts:
        writer.write(features.serialize_example({"text": text}))
    writer.close()
    split = tfds.core.SplitInfo(
        name="train", shard_lengths=[len(texts)], num_bytes=9, filename_template=template
    )
    tfds.folder_dataset.write_metadata(
        data_dir=directory, features=features, split_infos=[split], check_data=False
    )


lines = st.lists(st.sampled_from(["", " ", "\t", "a", "bc def", "é–", "x" * 40]), max_size=60)


@given(lines, st.sampled_from(["\n", "\r\n"]), st.integers(1, 50))
def test_chunk_size_never_changes_the_documents(tmp_path_factory, lines, newline, size) -> None:
    text = newline.join(lines)
    path = tmp_path_factory.mktemp("chunks") / "a.txt"
    path.write_bytes(text.encode() or b"\n")
    whole: list[list[str]] = [[]]
    for line in lines:
        if line.strip():
            whole[-1].append(line.strip())
        else:
            whole.append([])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "CHUNK_BYTES", size)
        assert read(path) == ["\n".join(d) for d in whole if d]


def test_offsets_and_stored_bytes_add_up(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(sources, "CHUNK_BYTES", 1000)
    rng = random.Random(0)
    text = "\n\n".join(f"{rng.random()}\n{rng.random()}" for _ in range(500)).encode()
    for suffix, compress in ((".txt", bytes), (".txt.xz", lzma.compress), (".txt.zst", zstd)):
        path = tmp_path / f"a{suffix}"
        path.write_bytes(compress(text))
        (source,) = find_sources([str(path)])
        made = list(source.chunks())
        assert len(made) > 5
        assert b"".join(c.payload for c in made if isinstance(c.payload, bytes)) == text
        assert sum(c.stored_bytes for c in made) == path.stat().st_size
        assert [c.offset for c in made] == [text.index(c.payload) for c in made]
        assert [c.line for c in made] == [1 + text[: c.offset].count(b"\n") for c in made]


def test_sample_is_bounded_spread_and_repeatable(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(sources, "CHUNK_BYTES", 200)
    path = tmp_path / "a.txt"
    path.write_text("\n\n".join(f"Sentence {i:05}." for i in range(2000)))
    found = find_sources([str(path)])
    sample = list(sample_sentences(found, "auto", limit=5000))
    numbers = [int(s.split()[1][:5]) for s in sample]
    assert 2500 < sum(len(s) for s in sample) <= 5000
    assert numbers == sorted(numbers) and numbers[0] < 100 and numbers[-1] > 1800
    assert sample == list(sample_sentences(found, "auto", limit=5000))
    assert len(list(sample_sentences(found, "auto"))) == 2000


def small(kind: str) -> bytes:
    data = "\n\n".join(f"{i} some text {i * i}" for i in range(5000)).encode()
    return {"gz": gzip.compress, "xz": lzma.compress, "zst": zstd}[kind](data)


BAD = {
    "binary": ("a.txt", b"text\nmore\0text", "byte 9 is 0, so this is a binary file"),
    "latin1": ("a.txt", b"line\ncaf\xe9 au lait", r"byte 8 \(line 2\) is 0xe9, which is not UTF-8"),
    "broken utf16": ("a.txt", "text".encode("utf-16")[:-1], "begins as UTF-16 and is not"),
    "empty": ("a.txt", b"", "empty"),
    "cut gz": ("a.txt.gz", small("gz")[:-9], "cut short"),
    "cut xz": ("a.txt.xz", small("xz")[:-9], "cut short"),
    "cut zst": ("a.txt.zst", small("zst")[:-9], "cut short"),
    "no gz": ("a.txt.gz", b"plain text", "not compressed so: correct its name"),
    "no xz": ("a.txt.xz", b"plain text", "not compressed so: correct its name"),
    "no zst": ("a.txt.zst", b"plain text", "not compressed so: correct its name"),
    "not json": ("a.jsonl", b'{"text": "a"}\n{"text": ', "line 2: not JSON"),
    "deep json": ("a.jsonl", b"[" * 200_000, "line 1: not JSON"),
    "json list": ("a.jsonl", b"[1]", "line 1: a JSON list"),
    "no field": ("a.jsonl", b'{"txt": "a"}', "'text' is missing.*did you mean 'txt'"),
    "json number": ("a.jsonl", b'{"text": 7}', "'text' holds 7, not a string"),
    "not parquet": ("a.parquet", b"PAR1 nonsense PAR1", "damaged"),
    "cut bz2": ("a.txt.bz2", bz2.compress(b"text" * 99)[:-9], "cut short"),
    "no bz2": ("a.txt.bz2", b"plain text", "not compressed so: correct its name"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_file_is_one_line_naming_it(tmp_path: Path, name: str) -> None:
    file, data, message = BAD[name]
    path = tmp_path / file
    path.write_bytes(data)
    with pytest.raises(UserError, match=message) as caught:
        read(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_missing_path_and_directory_without_text(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        read(tmp_path / "gone.txt")
    with pytest.raises(UserError, match=r"no \.txt, \.jsonl, \.json, \.parquet"):
        read(tmp_path)


def test_corrupt_parquet_page_and_wrong_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    table = pa.table({"text": ["a" * 50, None], "n": [1, 2]})
    pq.write_table(table, path, write_page_checksum=True, compression="none", use_dictionary=False)
    with pytest.raises(UserError, match=r"parquet:2: field 'text' holds null"):
        read(path)
    with pytest.raises(UserError, match=r"no column 'tex'.*did you mean 'text'"):
        read(path, field="tex")
    with pytest.raises(UserError, match="'n' holds int64"):
        read(path, field="n")
    path.write_bytes(path.read_bytes().replace(b"a" * 50, b"a" * 49 + b"b"))
    with pytest.raises(UserError, match="damaged"):
        read(path)


@pytest.mark.parametrize("layout", ["paragraphs", "lines", "jsonl", "strings"])
def test_length_limits(monkeypatch, layout: str) -> None:
    monkeypatch.setattr(chunks, "MAX_LINE_BYTES", 100)
    monkeypatch.setattr(chunks, "MAX_DOCUMENT_BYTES", 150)

    def chunk(data: str) -> Chunk:
        payload = [data] if layout == "strings" else data.encode()
        return Chunk("f", layout, payload, 0, 1, "text", 0)

    wrap = '{"text": "%s"}' if layout == "jsonl" else "%s"
    documents(chunk(wrap % ("x" * 99)))
    if layout in ("paragraphs", "lines"):
        with pytest.raises(UserError, match=r"line 3 has 101 bytes.*limit is 100"):
            documents(chunk("a\n\n" + "x" * 101))
    if layout != "lines":
        with pytest.raises(UserError, match=r"document.*limit (is|of) 150"):
            documents(
                chunk(
                    wrap % "\\n".join(["x" * 60] * 3)
                    if layout == "jsonl"
                    else "\n".join(["x" * 60] * 3)
                )
            )


def test_a_50_mb_line_is_refused_before_it_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"x" * 50_000_000)
    with pytest.raises(UserError, match=r"line 1 has .* bytes or more, the limit is 10000000"):
        read(path)
    path.write_bytes(b"x y z\n" * 4_000_000)
    with pytest.raises(UserError, match=r"document at line 1 has .* the limit is 16000000"):
        read(path)
