"""Corpora built through Apache Beam, against the plain build byte for byte."""

import argparse
import gzip
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet
from tiny_text import LETTERS, SPECIALS, contents

import bertjax
from bertjax.cli import prepare
from bertjax.data import beam, writer
from bertjax.data.beam import build_corpus_with_beam
from bertjax.data.beam_pipeline import open_pipeline
from bertjax.data.build import BuildSettings, build_corpus
from bertjax.data.corpus import verify_corpus
from bertjax.errors import UserError
from bertjax.text import sources
from bertjax.text.account import Account
from bertjax.text.sources import find_sources
from bertjax.text.tokenizer import load_tokenizer

pytestmark = pytest.mark.extra
needs_beam = pytest.mark.usefixtures("apache_beam")


@pytest.fixture(scope="module")
def apache_beam():
    """Apache Beam, which is an extra; its own imports and old idioms are not ours to mend."""
    return pytest.importorskip("apache_beam", reason="needs the extra: pip install 'bertjax[beam]'")


@pytest.fixture(scope="module")
def vocab(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("vocab") / "vocab.txt"
    path.write_text("\n".join([*SPECIALS, *LETTERS, *(f"##{x}" for x in LETTERS), "the", "."]))
    return path


def documents(count: int, seed: int = 0) -> list[str]:
    rng = random.Random(seed)
    words = ["the", "ring", "running", "cat", "ü"]
    return [" ".join(rng.choices(words, k=rng.randint(1, 30))) + f". x{i}" for i in range(count)]


@pytest.fixture
def text(tmp_path) -> list[str]:
    """All kinds of input; each repeats documents of itself and of those before it."""
    made = documents(150)
    text = tmp_path / "text"
    text.mkdir()
    (text / "a.txt").write_text("\n\n".join([*made[:60], *made[20:30]]))
    with gzip.open(text / "b.txt.gz", "wt") as file:
        file.write("\n\n".join(made[40:100]))
    lines = [json.dumps({"text": t}) for t in [*made[90:130], "\u200b", *made[:5]]]
    (text / "c.jsonl").write_text("\n".join(lines))
    (text / "d.txt").write_text("\n \n\n")  # a file with no document
    parquet.write_table(pyarrow.table({"text": made[100:]}), tmp_path / "e.parquet")
    return [str(text), str(tmp_path / "e.parquet")]


@needs_beam
def test_what_is_left_out_is_counted_alike(text, vocab, tmp_path):
    bad = tmp_path / "bad"
    bad.mkdir()
    lines = [json.dumps({"text": t}) for t in documents(50, seed=1)]
    (bad / "f.jsonl").write_text("\n".join([*lines[:9], "{", *lines[9:], '{"text": null}']))
    (bad / "g.txt").write_bytes(b"one\n\ncaf\xe9\n\ntwo\n")
    (bad / "h.txt").write_bytes("three\n\nfour".encode("utf-16"))
    (bad / "i.txt").write_bytes(b"five\r\rsix")
    with gzip.open(bad / "j.txt.gz", "wt") as file:
        file.write("\n\n".join(documents(99)))
    (bad / "j.txt.gz").write_bytes((bad / "j.txt.gz").read_bytes()[:-20])
    accounts = []
    for name in ("plain", "beam"):
        account = Account(skip=True)
        sources_ = find_sources([*text, str(bad)], account=account)
        tokenizer, settings = load_tokenizer(vocab), BuildSettings()
        if name == "plain":
            build_corpus(sources_, tmp_path / name, tokenizer, settings, 1, account=account)
        else:
            pipeline = open_pipeline("DirectRunner")
            build_corpus_with_beam(
                sources_, tmp_path / name, tokenizer, settings, pipeline, account=account
            )
        accounts.append(account)
    assert contents(tmp_path / "beam") == contents(tmp_path / "plain")
    assert accounts[0].lines() == accounts[1].lines()
    kinds = {"not JSON": 1, "no text": 1, "not UTF-8": 1, "damaged file": 1}
    assert accounts[0].left == kinds and "f.jsonl: line 10" in accounts[0].first


def build_both(text: list[str], vocab: Path, root: Path, options: str = "", **settings) -> Path:
    """Build both ways and compare every byte; returns the corpus made by Beam."""
    tokenizer, chosen = load_tokenizer(vocab), BuildSettings(**settings)
    plain = build_corpus(find_sources(text), root / "plain", tokenizer, chosen, 1)
    pipeline = open_pipeline("DirectRunner", options)
    with_beam = build_corpus_with_beam(
        find_sources(text), root / "beam", tokenizer, chosen, pipeline
    )
    assert with_beam == plain
    assert contents(root / "beam") == contents(root / "plain")
    assert sorted(p.name for p in root.iterdir() if "unfinished" in p.name) == []
    return root / "beam"


@needs_beam
@pytest.mark.parametrize("chunk_bytes", [1, 700, 5000, 1 << 20])
def test_same_bytes_as_the_plain_build(text, vocab, tmp_path, monkeypatch, chunk_bytes) -> None:
    monkeypatch.setattr(sources, "CHUNK_BYTES", chunk_bytes)
    monkeypatch.setattr(writer, "SHARD_BYTES", 4000)
    verify_corpus(build_both(text, vocab, tmp_path, held_out=0.2))
    made = json.loads((tmp_path / "beam" / "manifest.json").read_bytes())
    assert made["duplicates"] == 10 + 20 + 10 + 5 + 30
    assert sum(name.count("array_record") for name in made["files"]) > 3


@needs_beam
@pytest.mark.filterwarnings("ignore:label:DeprecationWarning")  # the protobuf Beam needs, in TFDS
def test_same_bytes_from_a_tfds_data_set(vocab, tmp_path, monkeypatch) -> None:
    tfds = pytest.importorskip("tensorflow_datasets")
    from array_record.python.array_record_module import ArrayRecordWriter

    monkeypatch.setattr(sources, "CHUNK_BYTES", 700)
    features = tfds.features.FeaturesDict({"text": tfds.features.Text()})
    directory = tmp_path / "set"
    directory.mkdir()
    shard = ArrayRecordWriter(str(directory / "set-train.array_record-00000-of-00001"), "")
    texts = documents(60)
    for item in texts:
        shard.write(features.serialize_example({"text": item}))
    shard.close()
    split = tfds.core.SplitInfo(
        name="train",
        shard_lengths=[60],
        num_bytes=sum(map(len, texts)),
        filename_template=tfds.core.ShardedFileTemplate(
            dataset_name="set", data_dir=directory, filetype_suffix="array_record"
        ),
    )
    tfds.folder_dataset.write_metadata(
        data_dir=directory, features=features, split_infos=[split], check_data=False
    )
    made = build_both([str(directory)], vocab, tmp_path)
    assert json.loads((made / "manifest.json").read_bytes())["splits"]["train"]["documents"] == 59


@needs_beam
@pytest.mark.parametrize("name", ["direct", "DirectRunner"])
def test_direct_runner_reaches_for_no_network(vocab, tmp_path, monkeypatch, name) -> None:
    from apache_beam.runners.portability.prism_runner import PrismRunner

    tried = []
    monkeypatch.setattr(PrismRunner, "run_pipeline", lambda *arguments: tried.append(1))
    path = tmp_path / "a.txt"
    path.write_text("\n\n".join(documents(20)))
    run_prepare(path, "--out", tmp_path / "out", "--tokenizer", vocab, "--beam-runner", name)
    assert not tried and (tmp_path / "out" / "manifest.json").is_file()


def _refusal(build) -> str:
    with pytest.raises(UserError) as caught:
        build()
    assert caught.value.exit_code == 2 and "\n" not in str(caught.value)
    return str(caught.value)


def run_prepare(*words: object) -> None:
    parser = argparse.ArgumentParser()
    prepare.add_arguments(parser)
    prepare.run(parser.parse_args([str(word) for word in words]))


@needs_beam
@pytest.mark.parametrize("kind", ["bad bytes in the text", "cut short", "no text"])
def test_bad_input_is_refused_in_the_same_line(vocab, tmp_path, monkeypatch, kind) -> None:
    monkeypatch.setattr(sources, "CHUNK_BYTES", 600)
    good = "\n\n".join(documents(80)).encode()
    path = tmp_path / "a.txt"
    if kind == "bad bytes in the text":  # the first of two is named
        path.write_bytes(good + b"\n\nbad \xff\n\n" + good + b"\n\nbad \xfe\n\n" + good)
    elif kind == "cut short":
        path = tmp_path / "a.txt.gz"
        path.write_bytes(gzip.compress(good)[:-20])
    else:
        path.write_bytes(b"\n \n")
    (tmp_path / "z.txt").write_bytes(b"bad \xfd")
    files = [path] if kind == "no text" else [path, tmp_path / "z.txt"]
    before = sorted(tmp_path.iterdir())
    words = [*files, "--out", tmp_path / "out", "--tokenizer", vocab]
    plain = _refusal(lambda: run_prepare(*words, "--workers", 1))
    assert _refusal(lambda: run_prepare(*words, "--beam-runner", "DirectRunner")) == plain
    assert sorted(tmp_path.iterdir()) == before


@needs_beam
def test_text_that_changes_while_it_is_read(vocab, tmp_path, monkeypatch) -> None:
    path = tmp_path / "a.txt"
    path.write_text("\n\n".join(documents(80)))
    shorten = beam._within_source

    def cut_and_shorten(chunks, file):
        yield from shorten(chunks, file)
        os.truncate(file, 100)

    monkeypatch.setattr(beam, "_within_source", cut_and_shorten)
    words = [path, "--out", tmp_path / "out", "--tokenizer", vocab]
    message = _refusal(lambda: run_prepare(*words, "--beam-runner", "DirectRunner"))
    assert f"{path}: ends at byte 100" in message


@needs_beam
@pytest.mark.parametrize("lost", ["part-*", "count-*"])
def test_workers_on_another_file_system(vocab, tmp_path, monkeypatch, lost) -> None:
    path = tmp_path / "a.txt"
    path.write_text("\n\n".join(documents(80)))
    collect = beam._collect

    def collect_less(work, count, account):
        next(work.spool.glob(lost)).unlink()
        return collect(work, count, account)

    monkeypatch.setattr(beam, "_collect", collect_less)
    words = [path, "--out", tmp_path / "out", "--tokenizer", vocab]
    message = _refusal(lambda: run_prepare(*words, "--beam-runner", "DirectRunner"))
    assert "000000" in message and f"same files, among them {tmp_path}" in message
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.txt"]


@needs_beam
def test_failing_worker_ends_in_one_line(vocab, tmp_path, monkeypatch) -> None:
    path = tmp_path / "a.txt"
    path.write_text("\n\n".join(documents(80)))

    def fail(*arguments):
        raise MemoryError("no more")

    monkeypatch.setattr(beam, "write_part", fail)
    words = [path, "--out", tmp_path / "out", "--tokenizer", vocab]
    message = _refusal(lambda: run_prepare(*words, "--beam-runner", "DirectRunner"))
    assert "the pipeline failed (no more" in message
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.txt"]


@needs_beam
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--beam-runner", "DirectRuner"], "did you mean 'DirectRunner'"),
        (["--beam-runner", "nowhere.Runner"], "--beam-runner nowhere.Runner: "),
        (
            ["--beam-runner", "direct", "--beam-options=--direct_num_worker=2"],
            "did you mean '--direct_num_workers'",
        ),
        (
            ["--beam-runner", "direct", "--beam-options=--direct_num_workers=x"],
            "argument --direct_num_workers: invalid int value: 'x'",
        ),
        (["--beam-runner", "direct", "--beam-options='"], "No closing quotation"),
    ],
)
def test_wrong_runner_or_option(vocab, tmp_path, options, message) -> None:
    (tmp_path / "a.txt").write_text("a\n\nb")
    words = [tmp_path / "a.txt", "--out", tmp_path / "out", "--tokenizer", vocab]
    assert message in _refusal(lambda: run_prepare(*words, *options))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--beam-options", "x"], "give --beam-runner too"),
        (["--beam-runner", "direct", "--workers", "3"], "--beam-options=--direct_num_workers=3"),
    ],
)
def test_options_that_exclude_each_other(tmp_path, options, message) -> None:
    (tmp_path / "a.txt").write_text("a\n\nb")
    words = [tmp_path / "a.txt", "--out", tmp_path / "out", *options]
    assert message in _refusal(lambda: run_prepare(*words))


def test_without_the_extra(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    (tmp_path / "a.txt").write_text("a\n\nb")
    words = [tmp_path / "a.txt", "--out", tmp_path / "out", "--beam-runner", "DirectRunner"]
    assert "pip install 'bertjax[beam]'" in _refusal(lambda: run_prepare(*words))


@pytest.mark.slow
@needs_beam
def test_several_worker_processes(vocab, tmp_path) -> None:
    texts = documents(30_000)
    for name, part in (("a", texts[:20_000]), ("b", texts[10_000:])):
        (tmp_path / f"{name}.txt").write_text("\n\n".join(part))
    text = [str(tmp_path / "a.txt"), str(tmp_path / "b.txt")]
    tokenizer = load_tokenizer(vocab)
    build_corpus(find_sources(text), tmp_path / "plain", tokenizer, BuildSettings(), 1)
    # In another working directory, and by a command whose options name the files from there.
    command = [
        sys.executable,
        "-m",
        "bertjax.cli.main",
        "prepare",
        "a.txt",
        "b.txt",
        "--out",
        "out",
    ]
    command += ["--tokenizer", str(vocab), "--beam-runner", "DirectRunner"]
    command += ["--beam-options=--direct_num_workers=2 --direct_running_mode=multi_processing"]
    environment = {**os.environ, "PYTHONPATH": str(Path(bertjax.__file__).parents[1])}
    subprocess.run(command, env=environment, cwd=tmp_path, check=True, capture_output=True)
    assert contents(tmp_path / "out") == contents(tmp_path / "plain")
