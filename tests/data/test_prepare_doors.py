"""`bertjax prepare` on what people bring: pipes, bad documents, lone sentences, probes."""

from __future__ import annotations

import argparse
import json
import os
import threading

import pytest
from tiny_text import contents, random_documents, write_text

from bertjax.cli import prepare
from bertjax.data.corpus import lone_sentences
from bertjax.errors import UserError

pytestmark = pytest.mark.usefixtures("small_chunks")


def run(*words: object) -> None:
    parser = argparse.ArgumentParser()
    prepare.add_arguments(parser)
    prepare.run(parser.parse_args([str(word) for word in words]))


def write_lines(path, texts, bad=()) -> None:
    lines = [json.dumps({"text": text}) for text in texts]
    for place in bad:
        lines.insert(place, "{not JSON")
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("workers", [1, 2])
def test_bad_documents_are_counted_by_kind_whoever_reads_them(vocab, tmp_path, capsys, workers):
    texts = random_documents(60)
    write_lines(tmp_path / "bad.jsonl", texts, bad=(5, 40))
    write_lines(tmp_path / "good.jsonl", texts)
    options = ("--tokenizer", vocab, "--workers", workers)
    with pytest.raises(UserError, match=r"line 6: not JSON.*--skip-bad"):
        run(tmp_path / "bad.jsonl", "--out", tmp_path / "out", *options)
    run(tmp_path / "bad.jsonl", "--out", tmp_path / "out", *options, "--skip-bad")
    said = capsys.readouterr().out
    assert "read        files: 1 JSON Lines\n" in said
    assert f"left out    2 (2 not JSON), the first: {tmp_path}/bad.jsonl: line 6: not JSON" in said
    run(tmp_path / "good.jsonl", "--out", tmp_path / "same", *options)
    assert contents(tmp_path / "out") == contents(tmp_path / "same")


def test_a_tokenizer_is_trained_without_the_bad_documents(tmp_path):
    write_lines(tmp_path / "a.jsonl", random_documents(60), bad=(5,))
    options = ("--vocab-size", 80, "--workers", 1, "--skip-bad")
    run(tmp_path / "a.jsonl", "--out", tmp_path / "out", *options)


def test_text_through_a_pipe_gives_the_corpus_of_the_file(tmp_path):
    text = write_text(tmp_path / "a.txt", random_documents(60))
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    data = (tmp_path / "a.txt").read_bytes()
    writer = threading.Thread(target=lambda: pipe.write_bytes(data))
    writer.start()
    options = ("--vocab-size", 80, "--workers", 1)
    run(pipe, "--out", tmp_path / "piped", *options)
    writer.join()
    run(text, "--out", tmp_path / "file", *options)
    assert contents(tmp_path / "piped") == contents(tmp_path / "file")


def test_lone_sentences_are_said(vocab, tmp_path, capsys):
    lines = tmp_path / "lines.txt"
    lines.write_text("".join(f"the cat {'x' * i}.\n" for i in range(1, 40)))
    options = ("--tokenizer", vocab, "--workers", 1)
    run(lines, "--out", tmp_path / "a", "--one-document-per-line", *options)
    assert "note        every document is one sentence, so all pairs" in capsys.readouterr().out
    write_text(tmp_path / "b.txt", (f"the cat.\nthe ring {'x' * i}." for i in range(1, 40)))
    run(tmp_path / "b.txt", "--out", tmp_path / "b", *options)
    assert "one sentence" not in capsys.readouterr().out
    assert "unknown to the tokenizer" not in capsys.readouterr().out
    write_text(tmp_path / "c.txt", (f"河{'川' * i}。山。" for i in range(40)))
    run(tmp_path / "c.txt", "--out", tmp_path / "c", *options)
    assert "% of the tokens are unknown to the tokenizer" in capsys.readouterr().out
    assert lone_sentences(100, 105).startswith("nearly every document")


def test_marks_that_lower_casing_strips_are_said(tmp_path, capsys):
    text = write_text(tmp_path / "a.txt", (f"यह एक शांत शहर है {'क' * i}।" for i in range(1, 40)))
    options = ("--vocab-size", 120, "--workers", 1)
    run(text, "--out", tmp_path / "a", *options)
    assert "% of the characters are accents or vowel signs" in capsys.readouterr().out
    run(text, "--out", tmp_path / "b", *options, "--keep-accents")
    assert "vowel signs" not in capsys.readouterr().out
    with pytest.raises(UserError, match="--keep-accents with --tokenizer unigram"):
        run(text, "--out", tmp_path / "c", *options, "--keep-accents", "--tokenizer", "unigram")


def test_probes_in_the_text_are_counted(vocab, tmp_path, capsys):
    text = write_text(tmp_path / "a.txt", ["The cat is here now. A ring.", "Bo has the cat ring."])
    (tmp_path / "probes.txt").write_text("the CAT is here  now.\nthe cat was not there.\na ring\n")
    write_lines(tmp_path / "b.jsonl", ["Bo has the cat ring."])
    options = ("--tokenizer", vocab, "--workers", 1, "--held-out", 0)
    probes = ("--probes", tmp_path / "probes.txt", "--probes", f"{tmp_path}/b.jsonl:text")
    run(text, "--out", tmp_path / "out", *options, *probes)
    said = capsys.readouterr().out
    assert "1 of 2 sentences of" in said and "such as 'the cat is here now.'" in said
    assert f"1 of 1 sentences of {tmp_path}/b.jsonl:text are in the text" in said
    with pytest.raises(UserError, match=r"'text' is missing: .* or FILE:FIELD of --probes; "):
        (tmp_path / "c.jsonl").write_text('{"body": "a"}')
        run(text, "--out", tmp_path / "no", "--tokenizer", "bpe", "--probes", tmp_path / "c.jsonl")
    assert "training" not in capsys.readouterr().out  # what is wrong is said before what is long
    (tmp_path / "probes.txt").write_text("a ring\n")
    with pytest.raises(UserError, match=r"--probes .*: no sentence of 4 words or more"):
        run(text, "--out", tmp_path / "no", *options, "--probes", tmp_path / "probes.txt")
