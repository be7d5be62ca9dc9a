"""What is to be predicted: plain lines and pipes, whose ids are the numbers of their lines."""

from __future__ import annotations

import os
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bertjax.config import ExamplesConfig, FinetuneConfig, TaskConfig
from bertjax.errors import UserError
from bertjax.tasks.tables import row_account
from bertjax.tasks.unlabelled import read_unlabelled

CFG = FinetuneConfig(data=ExamplesConfig(train="train.tsv", skip_bad_rows=True))
line = st.text(st.sampled_from("ab \t\r\x0b\x0c\x1c\x85\u2028\u2029\ufeff中"), max_size=6)


@settings(deadline=None)
@given(st.lists(line, min_size=1), st.sampled_from(["\n", "\r\n"]))
def test_ids_are_numbers_of_lines(tmp_path_factory, lines, newline):
    """Oracle: counting line feeds, as `wc` and editors do; nothing else ends a line."""
    path = tmp_path_factory.mktemp("lines") / "a.txt"
    lines = [line.removesuffix("\r") for line in lines]
    path.write_bytes(newline.join(["first", *lines]).encode())
    account = row_account(CFG.data)
    examples, skipped = read_unlabelled(str(path), CFG, account)
    expected = [(str(i), line.strip()) for i, line in enumerate(["first", *lines], start=1)]
    assert [(e.id, e.texts[0]) for e in examples] == [(i, text) for i, text in expected if text]
    assert skipped == 0
    blank = sum(not text for _, text in expected) - (not lines[-1])  # an end begins no line
    assert account.aside.get("blank lines", 0) == max(blank, 0)


def test_a_bad_line_takes_no_number_away(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"one\ncaf\xe9\nthree\n" + b"more\n" * 5)
    account = row_account(CFG.data)
    examples, skipped = read_unlabelled(str(path), CFG, account)
    assert [e.id for e in examples[:2]] == ["1", "3"] and skipped == 1
    assert account.first == f"{path}:2: the line holds byte 0xe9, no UTF-8"
    with pytest.raises(UserError, match=r"a\.txt:2: not UTF-8"):
        read_unlabelled(str(path), FinetuneConfig(data=ExamplesConfig(train="train.tsv")))


def test_a_pipe_holds_a_text_a_line(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_text("one two\n\nthree\n"))
    writer.start()
    cfg = FinetuneConfig(task=TaskConfig(family="tagging"), data=CFG.data)
    examples, _ = read_unlabelled(str(pipe), cfg)
    writer.join()
    assert [(e.id, e.texts) for e in examples] == [("1", ("one", "two")), ("3", ("three",))]


def test_lines_are_no_input_of_pairs(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("one\n")
    pairs = FinetuneConfig(data=ExamplesConfig(train="a.tsv", text_pair="b"))
    with pytest.raises(UserError, match="not enough for classification of pairs"):
        read_unlabelled(str(path), pairs)
    path.write_text('{"text": "a", "b": "c"}\n')
    assert read_unlabelled(str(path), pairs)[0][0].texts == ("a", "c")
