"""Corpora built from tiny texts, against TFDS, `tokenizers` and brute force."""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import BertWordPieceTokenizer

import bertjax
from bertjax.cli import prepare
from bertjax.data import manifest, staging, writer
from bertjax.data.build import BuildSettings, build_corpus
from bertjax.data.corpus import (
    SENTENCE,
    WORD,
    Corpus,
    describe_corpus,
    open_corpus,
    token_dtype,
    verify_corpus,
)
from bertjax.data.dedup import mark_first
from bertjax.data.documents import Documents, examples
from bertjax.errors import UserError
from bertjax.text import sources
from bertjax.text.sentences import split_sentences
from bertjax.text.sources import find_sources
from bertjax.text.tokenizer import load_tokenizer

# For the processes that tests start, whether or not the package is installed.
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(bertjax.__file__).parents[1])}

LETTERS = "abcdefghijklmnopqrstuvwxyz"
SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
VOCAB = [*SPECIALS, *LETTERS, *(f"##{x}" for x in LETTERS), *".!?,", "the", "##ing", *"我们爱北京"]


@pytest.fixture(scope="module")
def vocab(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("vocab") / "vocab.txt"
    path.write_text("\n".join(VOCAB) + "\n")
    return path


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch) -> None:
    monkeypatch.setattr(sources, "CHUNK_BYTES", 600)


def write_text(path: Path, documents: Iterable[str]) -> str:
    path.write_text("\n\n".join(documents) + "\n")
    return str(path)


def random_documents(count: int, seed: int = 0) -> list[str]:
    rng = random.Random(seed)
    words = ["the", "ring", "running", "cat", "zing", "Bo", "a", "ü"]

    def line() -> str:
        return " ".join(rng.choices(words, k=rng.randint(1, 9))) + rng.choice([".", "!", ""])

    return ["\n".join(line() for _ in range(rng.randint(1, 5))) + f" x{i}" for i in range(count)]


def build(out: Path, text: list[str], vocab: Path, workers: int = 1, **options) -> dict:
    found = find_sources(text)
    tokenizer = load_tokenizer(vocab)
    return build_corpus(found, out, tokenizer, BuildSettings(**options), workers)


def contents(directory: Path) -> dict[str, bytes]:
    files = [p for p in directory.rglob("*") if p.is_file()]
    return {p.relative_to(directory).as_posix(): p.read_bytes() for p in files}


def split_documents(corpus: Corpus) -> list[tuple[int, ...]]:
    bounds = pairwise(corpus.document_starts)
    return [tuple(corpus.tokens[start:end].tolist()) for start, end in bounds]


@pytest.fixture(scope="module")
def built(vocab, tmp_path_factory) -> tuple[Path, list[str]]:
    """A corpus, and the documents it was made from."""
    root = tmp_path_factory.mktemp("built")
    texts = random_documents(200)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "CHUNK_BYTES", 600)
        patch.setattr(writer, "SHARD_BYTES", 4000)
        build(root / "corpus", [write_text(root / "a.txt", texts)], vocab, held_out=0.2)
    return root / "corpus", texts


def test_same_bytes_for_any_number_of_workers(vocab, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(writer, "SHARD_BYTES", 4000)
    texts = random_documents(120)
    text = [write_text(tmp_path / "a.txt", texts[:70]), write_text(tmp_path / "b.txt", texts[60:])]
    made = {}
    for workers in (1, 2, 3):
        out = tmp_path / f"made by {workers}"
        build(out, text, vocab, workers)
        made[workers] = contents(out)
    assert made[1] == made[2] == made[3]
    assert sum(name.count("array_record") for name in made[1]) > 2
    assert not any(str(tmp_path).encode() in data for data in made[1].values())


def test_tokens_and_boundaries_are_those_of_each_sentence(built, vocab) -> None:
    path, texts = built
    oracle = BertWordPieceTokenizer(str(vocab), lowercase=True)
    expected = {}
    for text in texts:
        encoded = [oracle.encode(s, add_special_tokens=False) for s in split_sentences(text, "en")]
        ids = tuple(i for e in encoded for i in e.ids)
        sentences = np.cumsum([0] + [len(e.ids) for e in encoded[:-1]]).tolist()
        pieces = [piece for e in encoded for piece in e.tokens]
        words = [i for i, p in enumerate(pieces) if not p.startswith("##") or i in sentences]
        expected[ids] = (sentences, words)
    seen = set()
    for split in ("train", "validation"):
        corpus = open_corpus(path, split)
        starts = corpus.document_starts
        for document, start, end in zip(
            split_documents(corpus), starts[:-1], starts[1:], strict=True
        ):
            flags = corpus.boundaries[start:end]
            sentences, words = expected[document]
            assert np.flatnonzero(flags & SENTENCE).tolist() == sentences
            assert np.flatnonzero(flags & WORD).tolist() == words
            seen.add(document)
        marked = np.flatnonzero(corpus.boundaries & SENTENCE)
        np.testing.assert_array_equal(marked, corpus.sentence_starts[:-1])
        assert corpus.sentence_starts[-1] == starts[-1] == len(corpus.tokens)
        assert corpus.tokens.dtype == np.uint16 and isinstance(corpus.tokens, np.memmap)
        assert corpus.special.mask == VOCAB.index("[MASK]") and corpus.vocab_size == len(VOCAB)
    assert seen == set(expected)


READ_WITH_TFDS = """
import sys
import numpy as np, tensorflow_datasets as tfds
from bertjax.data.corpus import open_corpus
builder = tfds.builder_from_directory(sys.argv[1])
for split in ("train", "validation"):
    source, corpus = builder.as_data_source(split), open_corpus(sys.argv[1], split)
    starts = corpus.document_starts
    assert len(source) == len(starts) - 1 == builder.info.splits[split].num_examples > 10
    for i, example in enumerate(source.__getitems__(list(range(len(source))))):
        here = slice(starts[i], starts[i + 1])
        np.testing.assert_array_equal(example["tokens"], corpus.tokens[here])
        flags = corpus.boundaries[here]
        np.testing.assert_array_equal(example["word_starts"], np.flatnonzero(flags & 1))
        np.testing.assert_array_equal(example["sentence_starts"], np.flatnonzero(flags & 2))
        assert example["tokens"].dtype == np.int32
assert "tensorflow" not in sys.modules
"""


def test_tfds_reads_the_same_documents_without_tensorflow(built) -> None:
    path, _ = built
    assert len(list(path.glob("*train*-of-*"))) > 1
    subprocess.run([sys.executable, "-c", READ_WITH_TFDS, str(path)], env=ENVIRONMENT, check=True)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.lists(st.integers(0, 2**22), min_size=1, max_size=300), max_size=4), st.data())
def test_examples_decode_in_tfds(documents: list[list[int]], data) -> None:
    tfds = pytest.importorskip("tensorflow_datasets")
    tokens = np.array([t for d in documents for t in d], np.uint32)
    starts = np.cumsum([0, *map(len, documents)])
    flags = data.draw(st.lists(st.integers(0, 1), min_size=len(tokens), max_size=len(tokens)))
    boundaries = np.array(flags, np.uint8)
    boundaries[starts[:-1]] |= WORD
    empty = np.zeros((len(documents), 16), np.uint8)
    serialized = list(examples(Documents(tokens, boundaries, starts, starts, empty)))
    names = ("tokens", "sentence_starts", "word_starts")
    tensor = tfds.features.Tensor(shape=(None,), dtype=np.int32)
    features = tfds.features.FeaturesDict(dict.fromkeys(names, tensor))
    assert len(serialized) == len(documents)
    for i, example in enumerate(serialized):
        decoded = features.deserialize_example_np(example)
        assert decoded["tokens"].tolist() == documents[i]
        assert decoded["sentence_starts"].tolist() == [0]
        expected = np.flatnonzero(boundaries[starts[i] : starts[i + 1]] & WORD)
        assert decoded["word_starts"].tolist() == expected.tolist()


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 40), min_size=1), st.integers(1, 9))
def test_first_of_equals(tmp_path_factory, values: list[int], bucket: int) -> None:
    scratch = tmp_path_factory.mktemp("dedup")
    rng = np.random.default_rng(0)
    table = rng.integers(0, 256, (41, 16), np.uint8)
    table[1::2, :8] = table[0:-1:2, :8]  # pairs that differ in one half only
    table[2::4, 8:] = table[0:-2:4, 8:]
    (scratch / "digests").write_bytes(table[values].tobytes())
    first = mark_first(scratch / "digests", scratch, bucket)
    assert first.tolist() == [v not in values[:i] for i, v in enumerate(values)]


def test_duplicates_are_dropped_wherever_they_are(vocab, tmp_path) -> None:
    texts = random_documents(60)
    text = [
        write_text(tmp_path / "a.txt", [*texts, *texts[10:20]]),
        write_text(tmp_path / "b.txt", [t.replace("\n", " \r\n ") for t in texts[30:]]),
    ]
    content = build(tmp_path / "out", text, vocab)
    once = build(tmp_path / "once", text[:1], vocab)
    assert (content["duplicates"], once["duplicates"]) == (40, 10)
    assert content["splits"] == once["splits"]
    one, other = contents(tmp_path / "out"), contents(tmp_path / "once")
    assert {k for k in one if one[k] != other[k]} == {"manifest.json"}


def test_held_out_documents_are_chosen_by_their_own_text(vocab, tmp_path) -> None:
    texts = random_documents(400)

    def held_out(name: str, documents: list[str], share: float) -> set[tuple[int, ...]]:
        text = write_text(tmp_path / f"{name}.txt", documents)
        build(tmp_path / name, [text], vocab, held_out=share)
        kept = split_documents(open_corpus(tmp_path / name, "train"))
        held = split_documents(open_corpus(tmp_path / name, "validation"))
        assert len(kept) + len(held) == len(documents) and not set(kept) & set(held)
        return set(held)

    some, more = held_out("some", texts, 0.1), held_out("more", texts, 0.3)
    assert 20 < len(some) < 65 < 80 < len(more) < 165 and some < more
    assert held_out("half", texts[::-2], 0.1) <= some  # order and company do not matter
    assert len(held_out("few", texts[:3], 0.01)) == 1  # both splits have a document
    assert len(held_out("most", texts[:3], 0.99)) == 2
    build(tmp_path / "none", [write_text(tmp_path / "n.txt", texts)], vocab, held_out=0.0)
    with pytest.raises(UserError, match=r"no 'validation' split.*--held-out above 0"):
        open_corpus(tmp_path / "none", "validation")


def test_empty_sentences_and_documents_leave_no_trace(vocab, tmp_path) -> None:
    noise = "\u200b\n\u200b"  # not a space, and no token
    texts = [noise, "a cat.\n\u200b\nb", "c", noise, "d"]
    content = build(tmp_path / "out", [write_text(tmp_path / "a.txt", texts)], vocab, held_out=0.0)
    assert content["splits"]["train"] == {
        "documents": 3, "sentences": 4, "words": 6, "tokens": 8, "unknown": 0,
    }  # fmt: skip


def test_chinese_words_change_flags_and_never_ids(vocab, tmp_path) -> None:
    jieba = pytest.importorskip("jieba")
    sentence = "我们爱北京"
    text = [write_text(tmp_path / "a.txt", [sentence + "。" + sentence, "the cat"])]
    build(tmp_path / "zh", text, vocab, held_out=0.0)
    build(tmp_path / "en", text, vocab, held_out=0.0, language="en")
    chinese, plain = open_corpus(tmp_path / "zh", "train"), open_corpus(tmp_path / "en", "train")
    np.testing.assert_array_equal(chinese.tokens, plain.tokens)
    starts = np.cumsum([0, *map(len, jieba.cut(sentence))])[:-1].tolist()
    assert len(starts) == 3
    end = int(chinese.document_starts[1])
    expected = [*starts, 5, *(6 + s for s in starts)]
    assert np.flatnonzero(chinese.boundaries[:end] & WORD).tolist() == expected
    assert np.flatnonzero(chinese.boundaries[:end] & SENTENCE).tolist() == [0, 6]
    assert (plain.boundaries[:end] & WORD).all()


def test_large_vocabularies_get_wide_tokens() -> None:
    assert [token_dtype(v) for v in (65536, 65537)] == [np.uint16, np.uint32]


# Bad input, through the command.


def run_prepare(*words: object) -> None:
    parser = argparse.ArgumentParser()
    prepare.add_arguments(parser)
    prepare.run(parser.parse_args([str(w) for w in words]))


def refuse(message: str, out: Path, *words: object) -> None:
    """Run the command; it must refuse in one line and leave nothing at or beside `out`."""
    before = sorted(out.parent.iterdir()) if out.parent.is_dir() else []
    with pytest.raises(UserError, match=message) as caught:
        run_prepare(*words, "--out", out)
    assert "\n" not in str(caught.value) and caught.value.exit_code == 2
    assert (sorted(out.parent.iterdir()) if out.parent.is_dir() else []) == before


def test_command_builds_and_says_what_it_made(vocab, tmp_path, capsys) -> None:
    texts = random_documents(50)
    text = write_text(tmp_path / "a.txt", [*texts, texts[0]])
    out = tmp_path / "deep" / "er" / "out"
    run_prepare(text, "--out", out, "--tokenizer", vocab, "--workers", 1, "--held-out", 0.1)
    printed = capsys.readouterr().out
    counts = describe_corpus(out)["splits"]
    assert "documents   50 (1 duplicates dropped" in printed
    assert f"{counts['validation']['documents']} held out" in printed
    assert f"data.corpus={out}" in printed
    refuse("exists already", out, text, "--tokenizer", vocab)


@pytest.mark.parametrize(("kind", "size"), [("wordpiece", 60), ("unigram", 40), ("bpe", 40)])
def test_command_trains_a_tokenizer(kind: str, size: int, tmp_path) -> None:
    text = write_text(tmp_path / "a.txt", random_documents(300))
    out = tmp_path / "out"
    run_prepare(text, "--out", out, "--tokenizer", kind, "--vocab-size", size, "--workers", 1)
    described = describe_corpus(out)
    assert described["vocab_size"] <= size and described["splits"]["train"]["documents"] > 280
    assert load_tokenizer(out / "tokenizer").fingerprint == described["tokenizer"]


def test_bad_input_is_refused_and_leaves_nothing(vocab, tmp_path) -> None:
    out, options = tmp_path / "out", ("--tokenizer", vocab, "--workers", 1)
    text = tmp_path / "a.txt"
    refuse("no such file", out, tmp_path / "gone.txt", *options)
    text.write_bytes(b"")
    refuse("empty", out, text, *options)
    text.write_bytes(b" \n\n \n")
    refuse("no document with text", out, text, *options)
    text.write_text("a")
    refuse("1 document, and a corpus needs at least 2", out, text, *options)
    text.write_text("the same\n\nthe same")
    refuse("1 document", out, text, *options)
    write_text(text, random_documents(9))
    refuse("--held-out 1.0: give a share", out, text, *options, "--held-out", 1.0)
    refuse("--language 'fr': choose", out, text, *options, "--language", "fr")
    refuse("--workers 0", out, text, "--tokenizer", vocab, "--workers", 0)
    refuse("did you mean 'wordpiece'", out, text, "--tokenizer", "wordpeice")
    refuse("is a file: choose another", text / "out", text, *options)  # its parent is a file


def test_bad_byte_late_in_the_input_stops_parallel_workers(vocab, tmp_path) -> None:
    text = tmp_path / "a.txt"
    good = "\n\n".join(random_documents(100)).encode()
    text.write_bytes(good + b"\n\nbad \xff byte\n\n" + good)
    lines = good.count(b"\n")
    message = rf"byte {len(good) + 6} \(line {lines + 3}\) is 0xff"
    refuse(message, tmp_path / "out", text, "--tokenizer", vocab, "--workers", 2)


def test_read_only_directory(vocab, tmp_path, monkeypatch) -> None:
    text = write_text(tmp_path / "a.txt", random_documents(9))

    def mkdir(path, mode=0o777) -> None:
        raise OSError(30, "Read-only file system", str(path))

    monkeypatch.setattr(os, "mkdir", mkdir)  # root may write wherever permissions forbid it
    refuse("Read-only file system.*writable", tmp_path / "out", text, "--tokenizer", vocab)


PREPARE = """
import argparse, sys
from bertjax.cli import prepare
from bertjax.errors import UserError
from bertjax.text import sources
if __name__ == "__main__":
    sources.CHUNK_BYTES = 50_000
    parser = argparse.ArgumentParser()
    prepare.add_arguments(parser)
    try:
        prepare.run(parser.parse_args())
    except UserError as error:
        sys.exit(print(error, file=sys.stderr) or error.exit_code)
"""


def command(directory: Path, vocab: Path, text: str) -> list[str]:
    """Write `bertjax prepare` as a script, since workers import the main module again."""
    script = directory / "prepare.py"
    script.write_text(PREPARE)
    out = directory / "out"
    return [sys.executable, str(script), text, "--out", str(out), "--tokenizer", str(vocab)]


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_full_disk(vocab, tmp_path, share: float) -> None:
    """Stand-in for a full disk: no file may pass a limit under the largest one written."""
    text = write_text(tmp_path / "a.txt", random_documents(3000))
    build(tmp_path / "whole", [text], vocab)
    largest = max(map(len, contents(tmp_path / "whole").values()))
    limit = f"import resource, runpy, sys; s = {int(share * largest)}; " + (
        "resource.setrlimit(resource.RLIMIT_FSIZE, (s, s)); sys.argv = sys.argv[1:]; "
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    python, *arguments = command(tmp_path, vocab, text)
    done = subprocess.run(
        [python, "-c", limit, *arguments, "--workers", "2"],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2, done.stderr
    assert "cannot be written" in done.stderr and "Traceback" not in done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.txt", "prepare.py", "whole"]


def test_killed_build_is_never_taken_for_a_whole_one(vocab, tmp_path) -> None:
    text = write_text(tmp_path / "a.txt", random_documents(4000))
    build(tmp_path / "whole", [text], vocab)
    whole = contents(tmp_path / "whole")
    out, stage = tmp_path / "out", tmp_path / ".out.unfinished"
    run = [*command(tmp_path, vocab, text), "--workers", "2"]
    rng = random.Random(time.time_ns())
    killed = 0
    for _ in range(4):
        shutil.rmtree(out, ignore_errors=True)
        process = subprocess.Popen(run, env=ENVIRONMENT, stderr=subprocess.DEVNULL)
        while process.poll() is None and not stage.exists():
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.9))
        children = children_of(process.pid)
        process.send_signal(signal.SIGKILL)
        process.wait()
        if out.exists():  # it was done before the signal came
            assert contents(out) == whole
            continue
        killed += 1
        if (stage / "manifest.json").exists():  # killed between the last byte and the name
            verify_corpus(stage)
        else:
            with pytest.raises(UserError, match="no manifest"):
                open_corpus(stage, "train")
        deadline = time.monotonic() + 10
        while any(Path(f"/proc/{pid}").exists() for pid in children):
            assert time.monotonic() < deadline, "a worker outlived its parent"
            time.sleep(0.05)
    assert killed
    shutil.rmtree(out, ignore_errors=True)
    left = stage.exists() and any(stage.iterdir())
    done = subprocess.run(run, env=ENVIRONMENT, capture_output=True, text=True, check=True)
    assert ("left by an interrupted run; removed" in done.stderr) == left
    assert contents(out) == whole and not stage.exists()


def children_of(pid: int) -> list[int]:
    task = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in task.read_text().split()] if task.exists() else []


def test_two_builds_of_one_corpus(tmp_path) -> None:
    out = tmp_path / "out"
    with staging.staged(out, print) as stage:
        (stage / "file").touch()
        with pytest.raises(UserError, match="another process"), staging.staged(out, print):
            pass
        assert (stage / "file").exists()
    assert [p.name for p in out.iterdir()] == ["file"]


# Opening.


def test_every_flipped_bit_is_found(built, tmp_path) -> None:
    path, _ = built
    verify_corpus(path)
    good = manifest.read(path)[1]
    rng = random.Random(1)
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        data = file.read_bytes()
        flipped = bytearray(data)
        flipped[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        file.write_bytes(flipped)
        try:
            if file.name == "manifest.json":
                assert manifest_differs(path, good)
            else:
                with pytest.raises(UserError, match=f"{file.name}: its bytes differ"):
                    verify_corpus(path)
                if file.parent.name == "train":
                    with pytest.raises(UserError, match=f"{file.name}: its bytes differ"):
                        open_corpus(path, "train")
                    open_corpus(path, "validation")
            file.write_bytes(data[: len(data) // 2])
            with pytest.raises(UserError, match=file.name):
                open_corpus(path, "train", verify=False)
            file.unlink()
            with pytest.raises(UserError, match=file.name):
                open_corpus(path, "validation", verify=False)
        finally:
            file.write_bytes(data)
    verify_corpus(path)


def manifest_differs(path: Path, identity: str) -> bool:
    """A changed manifest is refused, or names another corpus."""
    try:
        return manifest.read(path)[1] != identity
    except UserError as error:
        return "manifest.json" in str(error)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ({"format": 2}, "format 2, this version reads 1"),
        ({"files": {"../../etc/passwd": {"bytes": 1, "sha256": ""}}}, "leads out of the directory"),
        ({"files": []}, "damaged"),
        ({"special": {"pad": 0}}, "damaged"),
        ({"vocab_size": "many"}, "damaged"),
        ({"vocab_size": 70000}, r"tokens.bin: "),
        ({"splits": {"train": {"documents": 1, "sentences": 1, "tokens": 1}}}, "counts uint16.1."),
    ],
)
def test_edited_manifest_is_refused(built, tmp_path, edit: dict, message: str) -> None:
    for name, data in contents(built[0]).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    content = json.loads((tmp_path / "manifest.json").read_bytes())
    (tmp_path / "manifest.json").write_text(json.dumps({**content, **edit}))
    with pytest.raises(UserError, match=message) as caught:
        open_corpus(tmp_path, "train")
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)


MEASURE = """
import resource, sys
from pathlib import Path
from bertjax.data.build import BuildSettings, build_corpus
from bertjax.text.sources import find_sources
from bertjax.text.tokenizer import load_tokenizer
if __name__ == "__main__":
    text, out, vocab = sys.argv[1:]
    settings = BuildSettings()
    build_corpus(find_sources([text]), Path(out), load_tokenizer(Path(vocab)), settings, 2)
    # Not ru_maxrss of this process, which begins at the size of the process that started it.
    own = Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]
    print(int(own) * 1024)
    print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
"""


@pytest.mark.slow
def test_memory_stays_under_1_gb(vocab, tmp_path) -> None:
    """The hardest documents: the largest allowed, of the widest characters; and a million small."""
    wide = tmp_path / "a.txt"
    with wide.open("w") as file:
        for _ in range(3):
            file.write(("\U00020000 b " * 1000 + "\n") * 2200 + "\n")  # 15.4 MB
        for i in range(1_000_000):
            file.write(f"cat {i}\n\n")
    script = tmp_path / "measure.py"
    script.write_text(MEASURE)
    command = [sys.executable, str(script), str(wide), str(tmp_path / "out"), str(vocab)]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=True)
    assert max(map(int, done.stdout.split())) < 1e9
