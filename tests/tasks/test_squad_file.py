"""SQuAD's JSON: what is read, what is refused, real files whole."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from bertjax.config import ExamplesConfig, FinetuneConfig, TaskConfig
from bertjax.errors import UserError
from bertjax.tasks import squad_file
from bertjax.tasks.families import label_names


def config(**changes) -> FinetuneConfig:
    """A config of span_qa; keywords are fields of `task` or `data`."""
    names = ExamplesConfig.__dataclass_fields__
    data = {name: value for name, value in changes.items() if name in names}
    task = {name: value for name, value in changes.items() if name not in names}
    return FinetuneConfig(
        task=TaskConfig(family="span_qa", **task),
        data=replace(ExamplesConfig(max_length=384, window_step=128), **data),
    )


def write(path, *questions, context="The cat sat on the mat."):
    content = {"data": [{"title": "x", "paragraphs": [{"context": context, "qas": questions}]}]}
    path.write_text(json.dumps(content), encoding="utf-8")
    return str(path)


def question(id="q", text="Where is it?", **fields):
    return {"id": id, "question": text, **fields}


def answer(text, start):
    return {"text": text, "answer_start": start}


def test_reads_answers_without_the_white_space_around_them(tmp_path):
    answers = [answer("cat", 4), answer(" cat", 3), answer(" cat ", 4)]
    path = write(tmp_path / "a.json", question(answers=answers), question(id=7, answers=answers))
    examples, skipped = squad_file.read(path, config())
    assert skipped == 0
    assert [e.id for e in examples] == ["q", "7"]
    assert examples[0].texts == ("Where is it?", "The cat sat on the mat.")
    assert examples[0].label == ((4, "cat"),) * 3


def test_questions_without_answers(tmp_path):
    none = question(answers=[], is_impossible=True, plausible_answers=[answer("cat", 4)])
    path = write(tmp_path / "a.json", none, question(answers=[answer("cat", 4)]))
    examples, _ = squad_file.read(path, config(no_answer=True))
    assert [e.label for e in examples] == [(), ((4, "cat"),)]
    with pytest.raises(UserError, match=r"a\.json:q: no answer: set task\.no_answer=true"):
        squad_file.read(path, config())


def test_unlabelled_questions_need_no_answers(tmp_path):
    path = write(tmp_path / "a.json", question())
    examples, _ = squad_file.read(path, config(), labelled=False)
    assert [e.label for e in examples] == [None]


def test_a_wrong_answer_is_refused_by_name_or_skipped_and_counted(tmp_path):
    good, bad = answer("cat", 4), answer("mat", 4)
    path = write(
        tmp_path / "a.json", question("one", answers=[bad, good]), question("two", answers=[bad])
    )
    with pytest.raises(UserError) as caught:
        squad_file.read(path, config())
    message = str(caught.value)
    assert message.startswith(f"{path}:one: the answer 'mat' should stand at character 4")
    assert "'cat'" in message
    assert "\n" not in message
    examples, skipped = squad_file.read(path, config(skip_bad_rows=True))
    assert [(e.id, e.label) for e in examples] == [("one", ((4, "cat"),))]
    assert skipped == 2


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("{", "not JSON"),
        ("[]", "has no 'data' that is a list"),
        ('{"data": [{"paragraphs": [{"qas": []}]}]}', "data.0.paragraphs.0 has no 'context'"),
        ('{"data": [{"paragraphs": [{"context": " ", "qas": []}]}]}', "has a blank 'context'"),
        ('{"data": [{"paragraphs": [{"context": "c", "qas": [3]}]}]}', "qas.0 is no object"),
        ('{"data": [{"paragraphs": [{"context": "c\\ud800", "qas": []}]}]}', "half a surrogate"),
    ],
)
def test_other_json_is_refused_in_one_line(tmp_path, content, expected):
    path = tmp_path / "a.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=expected) as caught:
        squad_file.read(str(path), config())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"question": 3}, "no 'question' that is a text"),
        ({"id": None}, "no 'id'"),
        ({"answers": None}, "no 'answers' that is a list"),
        ({"answers": [{"text": "cat"}]}, "no 'answer_start' that is a whole number"),
        ({"answers": [answer("", 0)]}, "blank 'text'"),
        ({"answers": [answer("mat", -1)]}, "should stand at character -1"),
    ],
)
def test_bad_questions_are_refused_or_skipped(tmp_path, fields, expected):
    path = write(tmp_path / "a.json", {**question(answers=[answer("cat", 4)]), **fields})
    with pytest.raises(UserError, match=expected):
        squad_file.read(path, config())
    assert squad_file.read(path, config(skip_bad_rows=True)) == ([], 1)


@pytest.mark.parametrize(
    ("context", "count", "expected"),
    [
        ("😀 the cat", lambda before: len(before.encode("utf-16-le")) // 2, "UTF-16 units"),
        ("é the cat", lambda before: len(before.encode()), "bytes of UTF-8"),
        ("a\nthe cat", lambda before: len(before) + 1, "line ends as two characters"),
        ("a\r\nthe cat", lambda before: len(before) - 1, "line ends as one character"),
        ("the cat, a cat", lambda before: len(before) + 1, "from 1"),
        ("the cat", lambda before: 0, "it stands at 4 alone"),
        ("a cat, a cat", lambda before: 1, "where ' ca' does"),
    ],
)
def test_what_the_places_of_answers_count_is_found_out(tmp_path, context, count, expected):
    item = question(answers=[answer("cat", count(context[: context.rindex("cat")]))])
    path = write(tmp_path / "a.json", item, context=context)
    with pytest.raises(UserError, match=f"should stand at.*{expected}"):
        squad_file.read(path, config())


def test_answers_written_as_text_are_named(tmp_path):
    path = tmp_path / "a.jsonl"
    row = {"id": "1", "question": "q", "context": "c", "answers": "{'text': ['c']}"}
    path.write_text(json.dumps(row))
    with pytest.raises(UserError, match="'answers' is written as text: store its lists"):
        squad_file.read(str(path), config())


def test_not_utf8_names_its_line(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b'{"data":\n"\xff"}')
    with pytest.raises(UserError, match=r"a\.json:2: not UTF-8"):
        squad_file.read(str(path), config())


def test_another_layout_is_refused():
    with pytest.raises(UserError, match=r"data\.layout=tsv"):
        squad_file.read("a.tsv", config(layout="tsv"))


@pytest.mark.parametrize(
    ("name", "questions", "bad"),
    [
        ("squad_v1.1_slice/dev-slice.json", 545, 0),
        ("xquad/xquad.zh.json.xz", 1190, 0),
        ("cmrc2018/cmrc2018_dev.json.xz", 3216, 200),
        ("drcd/DRCD_dev.json.xz", 3524, 0),
        ("covid_qa/200423_covidQA.json.xz", 1342, 38),
    ],
)
def test_real_files(shared_data, name, questions, bad):
    examples, skipped = squad_file.read(str(shared_data / name), config(skip_bad_rows=True))
    assert (len(examples), skipped) == (questions, bad)
    for example in examples:
        for start, text in example.label:
            assert example.texts[1][start : start + len(text)] == text != ""


def test_questions_without_any_answer_leave_nothing_to_learn(tmp_path):
    cfg = config(no_answer=True)
    path = write(tmp_path / "f.json", question(answers=[], is_impossible=True))
    examples, _ = squad_file.read(path, cfg, True)
    with pytest.raises(UserError, match="none of the 1 questions has an answer"):
        label_names(cfg, examples)


@pytest.mark.parametrize("nothing", ["", "\u200b", "\ufeff\x07"])
def test_what_is_not_seen_is_no_answer(tmp_path, nothing):
    bad = question(answers=[answer(nothing, 1)])
    path = write(tmp_path / "a.json", bad, context=f"a{nothing}b")
    with pytest.raises(UserError, match=r"a\.json:q: an answer has a blank 'text'"):
        squad_file.read(path, config())
