"""`bertjax prepare`: what it says, refuses and survives."""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny_text import (
    ENVIRONMENT,
    build,
    contents,
    random_documents,
    write_text,
)

from bertjax import durable
from bertjax.cli import prepare
from bertjax.cli.reading import ProgressLine
from bertjax.config import PretrainConfig
from bertjax.data.build import Progress, build_corpus
from bertjax.data.corpus import (
    describe_corpus,
    open_corpus,
    verify_corpus,
)
from bertjax.errors import UserError
from bertjax.recipes.shipped import load_recipe
from bertjax.text.sources import find_sources
from bertjax.text.tokenizer import load_tokenizer
from bertjax.text.tokenizer_training import train_tokenizer

pytestmark = pytest.mark.usefixtures("small_chunks")


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
    sizes = [open_corpus(out, split).text_bytes for split in ("train", "validation")]
    assert min(sizes) > 0 and sum(sizes) == sum(len(t.strip().encode()) for t in set(texts))
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
    refuse("2 documents that are all equal, and a corpus needs", out, text, *options)
    write_text(text, random_documents(9))
    refuse("--held-out 1.0: give a share", out, text, *options, "--held-out", 1.0)
    refuse("--language 'fr': choose", out, text, *options, "--language", "fr")
    refuse("--workers 0", out, text, "--tokenizer", vocab, "--workers", 0)
    refuse("did you mean 'wordpiece'", out, text, "--tokenizer", "wordpeice")
    refuse("is a file: choose another", text / "out", text, *options)  # its parent is a file


@pytest.mark.parametrize("tokenizer", ["brought", "wordpiece"])
def test_where_all_is_left_out_the_kinds_are_said(tokenizer, vocab, tmp_path) -> None:
    out, options = tmp_path / "out", ("--skip-bad", "--workers", 1)
    options += ("--tokenizer", vocab if tokenizer == "brought" else tokenizer)
    empty, bad = tmp_path / "a.csv", tmp_path / "a.jsonl"
    empty.write_bytes(b"")
    refuse(r"nothing is left of the text: 1 empty file, the first: .*a\.csv", out, empty, *options)
    bad.write_text('{"txt": "a"}\n{\n')
    said = (
        r"nothing is left of the text: 1 no such field, 1 not JSON, the first: .*a\.jsonl: line 1"
    )
    refuse(said, out, bad, *options)


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
from bertjax.data.build import Progress, build_corpus
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


@pytest.mark.slow
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


@pytest.mark.slow
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
    with durable.staged(out, print) as stage:
        (stage / "file").touch()
        with pytest.raises(UserError, match="another process"), durable.staged(out, print):
            pass
        assert (stage / "file").exists()
    assert [p.name for p in out.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("tokens", "of_gpu"), [(1_000_000, "strict_small"), (3_000_000_000, "budget_base")]
)
def test_the_next_commands_are_of_runs_that_end(tokens, of_gpu):
    """Within the hour; without a GPU, in what any CPU computes in and in few rows at once."""
    named = prepare._next(tokens)
    assert named == {"next": "laptop", "on a GPU": of_gpu}
    for recipe in named.values():
        cfg = load_recipe(recipe, PretrainConfig)
        assert len(cfg.data.phases) == 1
        assert 0 < cfg.train.minutes <= 60 or cfg.train.steps <= 10_000
    here = load_recipe(named["next"], PretrainConfig)
    assert here.train.compute_dtype == "float32"
    assert here.data.phases[0].batch_size * here.data.phases[0].seq_len <= 4096


def test_progress_that_was_shown_ends_at_all(capsys, monkeypatch):
    """Chunks tell of fewer bytes than the files have: of columns that nobody reads."""
    now = iter([0.0, 11.0, 12.0, 13.0])
    monkeypatch.setattr("bertjax.cli.reading.time.monotonic", lambda: next(now))
    line = ProgressLine()
    line.show(Progress(1, 1_000_000, 0.3))
    line.show(Progress(2, 2_000_000, 0.64))  # too soon after the last one
    line.show(Progress(2, 2_000_000, 1.0))
    shown = capsys.readouterr().err.splitlines()
    assert [text.split()[1] for text in shown] == ["30%", "100%"]


def test_tokenizing_reports_all_at_the_end(tmp_path):
    text = tmp_path / "a.jsonl"
    rows = ({"text": f"one {i}.", "other": "x" * 500} for i in range(9))
    text.write_text("".join(json.dumps(row) + "\n" for row in rows))
    tokenizer = train_tokenizer("wordpiece", ["one 0 1 2 3 4 5 6 7 8."] * 9, 60)
    reports: list[Progress] = []
    settings = prepare.BuildSettings(held_out=0.3)
    build_corpus(
        find_sources([str(text)]), tmp_path / "corpus", tokenizer, settings, 1, reports.append
    )
    assert reports[-1].done == 1 and reports[-1].documents == 9
