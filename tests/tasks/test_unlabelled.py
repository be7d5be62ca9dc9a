"""What is to be predicted: plain lines and pipes, whose ids are the numbers of their lines."""

from __future__ import annotations

import json
import os
import threading
from unicodedata import category

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertjax.config import ExamplesConfig, FinetuneConfig, TaskConfig
from bertjax.errors import UserError
from bertjax.tasks.tables import row_account
from bertjax.tasks.unlabelled import examples_of, read_unlabelled

CFG = FinetuneConfig(data=ExamplesConfig(train="train.tsv", skip_bad_rows=True))
line = st.text(st.sampled_from("ab \t\r\x0b\x0c\x1c\x85\u2028\u2029\ufeff中"), max_size=6)


@given(st.lists(line, min_size=1), st.sampled_from(["\n", "\r\n"]))
def test_ids_are_numbers_of_lines(tmp_path_factory, lines, newline):
    """From 0. Oracle: counting line feeds, as `wc` and editors do; nothing else ends a line.

    A byte order mark at its beginning is no text; what Unicode calls spaces, controls and formats
    alone is none either.
    """
    path = tmp_path_factory.mktemp("lines") / "a.txt"
    lines = [line.removesuffix("\r") for line in lines]
    path.write_bytes(newline.join(["first", *lines]).encode())
    account = row_account(CFG.data)
    examples, skipped = read_unlabelled(str(path), CFG, account)
    texts = [line.lstrip("\ufeff").strip() for line in ["first", *lines]]
    seen = [text if {category(c)[0] for c in text} - {"C", "Z"} else "" for text in texts]
    expected = [(str(i), text) for i, text in enumerate(seen)]
    assert [(e.id, e.texts[0]) for e in examples] == [(i, text) for i, text in expected if text]
    assert skipped == 0
    blank = seen.count("") - (not lines[-1].lstrip("\ufeff"))  # an end begins no line
    assert account.aside.get("blank lines", 0) == max(blank, 0)


def test_a_bad_line_takes_no_number_away(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"one\ncaf\xe9\nthree\n" + b"more\n" * 5)
    account = row_account(CFG.data)
    examples, skipped = read_unlabelled(str(path), CFG, account)
    assert [e.id for e in examples[:2]] == ["0", "2"] and skipped == 1
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
    assert [(e.id, e.texts) for e in examples] == [("0", ("one", "two")), ("2", ("three",))]


TAGGER = FinetuneConfig(
    task=TaskConfig(family="tagging", scheme="IOB2", labels=("O", "B-PER", "I-PER")),
    data=ExamplesConfig(train="train.txt"),
)


@pytest.mark.parametrize(
    ("content", "sentences"),
    [
        ("Ann Lee lives in Rome\n", ["Ann Lee lives in Rome"]),
        ("Ann lives in Rome .\n\nIt rains .\n", ["Ann lives in Rome .", "It rains ."]),
        ("Ann B-PER\nLee I-PER\n\nIt O\n", ["Ann Lee", "It"]),
        ("Ann S-PER\nruns O\n", ["Ann runs"]),  # the same types by other letters
        ("Ann\nLee\n\nIt\n", ["Ann Lee", "It"]),
        ("北京很大\n", ["北 京 很 大"]),
        ("北京是首都\n上海很大\n", ["北 京 是 首 都", "上 海 很 大"]),
        ("北京\n很\n大\n", ["北京 很 大"]),
    ],
)
def test_a_tagger_of_columns_called_txt_takes_lines_and_columns(content, sentences, tmp_path):
    path = tmp_path / "a.txt"
    path.write_text(content)
    found, _ = read_unlabelled(str(path), TAGGER)
    assert [" ".join(e.texts) for e in found] == sentences


def test_a_file_without_a_suffix_is_looked_at_too(tmp_path):
    """A line of text would else be a word in columns."""
    for name in ("lines", "eng.testb"):
        (tmp_path / name).write_text("Ann Lee lives\n")
        found, _ = read_unlabelled(str(tmp_path / name), TAGGER)
        assert [e.texts for e in found] == [("Ann", "Lee", "lives")]
        (tmp_path / name).write_text("Ann B-PER\nLee I-PER\n\nIt O\nrains\n")
        with pytest.raises(UserError, match=r":5: 1 columns, the lines above have 2"):
            read_unlabelled(str(tmp_path / name), TAGGER)


def test_lines_that_may_be_either_are_refused_unless_the_suffix_says(tmp_path):
    content = "Ann runs\nIt rains\n"
    for name in ("a.txt", "a.text", "a.conll"):
        (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=r"all 2 lines have 2 words.*\.text.*\.conll"):
        read_unlabelled(str(tmp_path / "a.txt"), TAGGER)
    lines, _ = read_unlabelled(str(tmp_path / "a.text"), TAGGER)
    assert [e.texts for e in lines] == [("Ann", "runs"), ("It", "rains")]
    columns, _ = read_unlabelled(str(tmp_path / "a.conll"), TAGGER)
    assert [e.texts for e in columns] == [("Ann", "It")]


@pytest.mark.parametrize("field", ["tokens", "words", "text", "sentence"])
def test_a_tagger_of_columns_takes_records(field, tmp_path):
    path = tmp_path / "a.jsonl"
    rows = [{"id": 7, field: ["Ann", "runs"]}, {"id": 8, field: ["It"]}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found, _ = read_unlabelled(str(path), TAGGER)
    assert [e.texts for e in found] == [("Ann", "runs"), ("It",)]


def test_lines_are_no_input_of_pairs(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("one\n")
    pairs = FinetuneConfig(data=ExamplesConfig(train="a.tsv", text_pair="b"))
    with pytest.raises(UserError, match="not enough for classification of pairs"):
        read_unlabelled(str(path), pairs)
    path.write_text('{"text": "a", "b": "c"}\n')
    assert read_unlabelled(str(path), pairs)[0][0].texts == ("a", "c")


def run_of(family: str, **data) -> FinetuneConfig:
    return FinetuneConfig(task=TaskConfig(family=family), data=ExamplesConfig(**data))


def test_what_a_program_holds_is_an_example_of_its_family():
    def texts(cfg: FinetuneConfig, given) -> tuple[str, ...]:
        return examples_of([given], cfg)[0].texts

    assert texts(run_of("classification"), "a b") == ("a b",)
    assert texts(run_of("regression", text_pair="b"), ["a", "b"]) == ("a", "b")
    assert texts(run_of("span_qa"), ("who?", "he")) == ("who?", "he")
    assert texts(run_of("multiple_choice", choices=("x", "y")), ["a", "b", "c"]) == ("a", "b", "c")
    assert texts(run_of("tagging"), "the old city") == ("the", "old", "city")
    assert texts(run_of("tagging"), ["New York", "!"]) == ("New York", "!")
    assert [one.id for one in examples_of(["a", "b"], run_of("classification"))] == ["0", "1"]


@pytest.mark.parametrize(
    ("cfg", "given", "says"),
    [
        (run_of("classification"), ("a", "b"), "input 0 has 2 texts, and the run takes one text"),
        (run_of("classification", text_pair="b"), "a", "has 1 texts.* takes a pair of texts"),
        (run_of("span_qa"), "a", "takes a question and a context"),
        (run_of("multiple_choice", choices=("x", "y")), ["a", "b"], "takes a text and 2 endings"),
        (run_of("tagging"), "  ", "input 0 has a word of no characters"),
        (run_of("tagging"), ["a", ""], "input 0 has a word of no characters"),
        (run_of("classification"), 3, "input 0 is 3: give a text or a list of texts"),
        (run_of("classification"), [], "input 0 is \\[\\]: give a text"),
        (run_of("classification"), "a \ud800", "input 0: the text holds half a surrogate pair"),
    ],
)
def test_what_is_no_input_of_the_run_is_refused(cfg, given, says):
    with pytest.raises(UserError, match=says):
        examples_of([given], cfg)


def test_returns_that_end_no_line_are_noted(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"one\rstill one\r\ntwo\r\n")
    account = row_account(CFG.data)
    examples, _ = read_unlabelled(str(path), CFG, account)
    assert [e.texts[0] for e in examples] == ["one\rstill one", "two"]
    assert "carriage returns without a line feed, which end no line" in account.notes[0]
    path.write_bytes(b"one\r\ntwo\r\r\n")
    account = row_account(CFG.data)
    read_unlabelled(str(path), CFG, account)
    assert not account.notes


@pytest.mark.parametrize("nothing", ["", "\u200b", "\ufeff\u200e", "\u200d", "\x07"])
def test_a_word_of_which_nothing_is_seen_is_none(nothing, tmp_path):
    cfg = FinetuneConfig(task=TaskConfig(family="tagging"), data=ExamplesConfig(train="a.conll"))
    with pytest.raises(UserError, match="input 0 has a word of no characters"):
        examples_of([["a", nothing]], cfg)
    path = tmp_path / "a.text"
    path.write_text(f"a {nothing} b\n", encoding="utf-8")
    assert read_unlabelled(str(path), cfg)[0][0].texts == ("a", "b")
