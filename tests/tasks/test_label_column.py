"""Labels of whole columns, against Python's equality, scikit-learn and pandas."""

from __future__ import annotations

import json
import math
import re
import unicodedata
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.preprocessing import MultiLabelBinarizer
from sklearn.utils.multiclass import type_of_target

from bertjax.config import ExamplesConfig, FinetuneConfig, TaskConfig
from bertjax.errors import UserError
from bertjax.tasks.families import label_names, read_examples
from bertjax.tasks.label_column import (
    LabelColumn,
    a_column_each,
    any_each,
    number_each,
    one_each,
)
from bertjax.tasks.label_values import as_list, is_missing
from bertjax.text.account import Account, Problem


def column(values, named=(), classes=(), name="label") -> LabelColumn:
    return LabelColumn("a.csv", name, values, tuple(named), tuple(classes))


def one(values, named=(), account=None):
    return one_each(column(values, named), account or Account()).labels


def several(made: LabelColumn, account: Account | None = None):
    return any_each(made, ",", account or Account())


def kinds(labels) -> list[str]:
    return [label.kind if isinstance(label, Problem) else label for label in labels]


NONE = "without a label"

numbers = st.integers(-5, 12) | st.sampled_from([0.0, 1.0, 2.0, -1.0, 3.0])
spellings = st.sampled_from(
    [int, float, str, lambda n: f"{n:.1f}", lambda n: f" {n} ", np.float64, np.int64, Decimal]
)


@given(st.lists(st.tuples(numbers, spellings), min_size=2, max_size=30))
def test_numbers_that_are_equal_are_one_label(drawn):
    """Oracle: Python's equality of the numbers, whatever they are stored as."""
    values = [spell(int(number)) for number, spell in drawn]
    labels = one(values)
    known = [(int(n), label) for (n, _), label in zip(drawn, labels, strict=True)]
    known = [(n, label) for n, label in known if not isinstance(label, Problem)]
    assert all((a == b) == (x == y) for a, x in known for b, y in known)
    left = {n for n, _ in drawn} - {n for n, _ in known}
    assert left <= {-1}
    assert {label for _, label in known} == {str(n) for n, _ in known}


@given(st.lists(st.floats(-9, 9) | st.integers(-9, 9), min_size=2, max_size=20))
def test_real_numbers_are_no_classes_as_scikit_learn_has_it(values):
    if type_of_target(np.array(values, np.float64)) == "continuous":
        with pytest.raises(UserError, match=r"real numbers.*task\.family=regression"):
            one(values)
        with pytest.raises(UserError, match="real numbers"):
            one([str(value) for value in values if "e" not in str(value)] + ["0.5"])
        assert number_each(column(values)).labels == [float(value) for value in values]
    else:
        assert not any(isinstance(label, str) and "." in label for label in one(values))


def test_classes_that_are_real_numbers_can_be_named():
    assert one([0.5, 1, "1.0", 2.0], named=("0.5", "1", "2.0")) == ["0.5", "1", "1", "2.0"]


words = st.sampled_from(["pos", "neg", "neutral café", "o-x"])
noise = st.sampled_from(["", " ", "\u200b", "\ufeff", "\u00a0", "\t", "\u00ad", "\u200e", "\x00"])


@given(st.lists(st.tuples(words, noise, noise, st.sampled_from(["NFC", "NFD"])), min_size=1))
def test_labels_that_differ_in_what_cannot_be_seen_are_one(drawn):
    values = [unicodedata.normalize(form, before + w + after) for w, before, after, form in drawn]
    account = Account()
    assert one(values, account=account) == [w for w, *_ in drawn]
    raw = {(w, v.strip()) for (w, *_), v in zip(drawn, values, strict=True)}
    if len(raw) > len({w for w, *_ in drawn}):
        assert any("are one label" in note for note in account.notes)


MISSING = [None, math.nan, float("nan"), "", "  ", "nan", "NaN", "NULL", "n/a", "<NA>", "\u200b"]


@given(st.lists(st.sampled_from(MISSING) | words, min_size=1))
def test_what_is_missing_is_no_label(values):
    labels = one(values)
    assert kinds(labels) == [NONE if is_missing(v) else v for v in values]
    pandas = pytest.importorskip("pandas")
    for value in values:  # all that pandas calls missing, and blanks and its words for them
        assert is_missing(value) >= bool(pandas.isna(value))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["a", "-", "b"], ["a", NONE, "b"]),  # SNLI
        (["+", "-", "+"], ["+", "-", "+"]),
        (["a", "-", "a"], ["a", "-", "a"]),  # two marks, of which one is this
        ([1, "-", 0], ["1", NONE, "0"]),
        (["1", "NA", "2", "None"], ["1", NONE, "2", NONE]),
        (["racism", "none", "sexism"], ["racism", "none", "sexism"]),
        ([-1, 0, 1, 2], [NONE, "0", "1", "2"]),  # class numbers, one of them not given
        (["-1", "0", "1", "2"], [NONE, "0", "1", "2"]),
        ([-1, 1, -1], ["-1", "1", "-1"]),
        ([-2, -1, 0, 1, 2], ["-2", "-1", "0", "1", "2"]),
        ([-1, 0, 1], ["-1", "0", "1"]),  # a sentiment, most likely; it is said
        ([True, False], ["true", "false"]),
        ([True, 1, 0], ["1", "1", "0"]),
        (["007", "7"], ["007", "7"]),  # codes
        ([b"a", "b"], ["a", "b"]),
        ([10**30, 1.0], [str(10**30), "1"]),
        (["TRUE", "True", "False", True], ["true", "true", "false", "true"]),
        (["True", "False"], ["True", "False"]),
        (["(1)", "(2)"], ["(1)", "(2)"]),
    ],
)
def test_marks_and_types(values, expected):
    assert kinds(one(values)) == expected


def test_named_labels_decide():
    assert one(["-1", 0.0, "1.0"], named=("-1", "0", "1.0")) == ["-1", "0", "1.0"]
    assert one([True, "x"], named=("true", "x")) == ["true", "x"]
    (wrong,) = one(["3"], named=("1", "2"))
    assert str(wrong) == "label '3' is not in task.labels: choose from: 1, 2"
    assert one(["nan", "x"], named=("nan", "x")) == ["nan", "x"]


@pytest.mark.parametrize(
    "values",
    [
        [["a"], ["a", "b"]],
        ["['a', 'b']", "['b']"],
        ['["a"]', '["b"]'],
        [[0, 1], [1, 0]],
        ["[0 1]", "[1 0]"],
        [np.array([0, 1]), np.array([1, 0])],
    ],
)
def test_a_list_is_several_labels(values):
    with pytest.raises(UserError, match=r"holds lists, such as .*task\.family=multi_label"):
        one(values)


@pytest.mark.parametrize(
    ("values", "note"),
    [
        (["Pos", "pos", "neg"], r"'Pos' \(1\), 'pos' \(1\) differ only in case"),
        (["[a]", "b", "c"], "label '\\[a\\]' is in brackets"),
        (["a", "b", "a,b", "a"], "label 'a,b' joins other labels"),
        ([str(i) for i in range(20)], "20 classes in 20 rows"),
        ([-1, 0, 1, -1], "2 rows have the label -1, which is taken for a class"),
        (["None", "a", "b"], "1 rows have the label 'None'"),
        (["NA", "EU", "EU"], "1 rows have the label 'NA', which is taken for a class"),
        (["01", "1", "2"], r"'01' \(1\), '1' \(1\) differ only in zeros before them"),
        (["0,5", "1,5", "0,5"], "numbers with a comma, such as '0,5'"),
        (["1,0", "1.0", "2.0", "2.0"], "numbers with a comma, such as '1,0'"),
        (
            ["999", "1,000,000", "1000", "999"],
            "such as '1,000,000': write decimals",
        ),
        (["1", "１", "0"], r"'1' \(1\), '\\uff11' \(1\) look alike"),
        (["good", "gооd", "bad"], r"'g\\u043e\\u043ed' \(1\) look alike"),
    ],
)
def test_what_looks_wrong_is_noted(values, note):
    account = Account()
    one(values, account=account)
    (said,) = account.notes
    assert re.search(note, said)


def test_plain_labels_are_not_remarked_upon():
    account = Account()
    one(["yes", "no", "yes", "no"] * 9, account=account)
    one([0, 1, 2] * 9, account=account)
    assert account.notes == []


# Several labels a row.


@pytest.mark.parametrize(
    ("values", "note"), [(["x;y", "y", "x; z"], r"'x; z' may be several: .*label_separator=';'"),
                         (["x,y", "y", "x;z"], ""),
                         (["x|y", "y", "x", "z", "u", "v"], r"'x\|y' may be several"),
                         (["[sports, art]", "[art]", "art"], r"'\[art' and 'art\]' have|art\]'")],
)  # fmt: skip
def test_another_separator_of_labels_is_noted(values, note):
    account = Account()
    several(column(values), account)
    assert [bool(re.search(note, said)) for said in account.notes] == ([True] if note else [])


sets = st.lists(st.lists(st.sampled_from("abcd"), max_size=3, unique=True), min_size=1)
WRITERS = {
    "lists": list,
    "Python": str,
    "JSON": json.dumps,
    "NumPy": lambda row: str(np.array(row, object)),
    "separated": ",".join,
    "a set": lambda row: str(set(row)),
    "a frozenset": lambda row: str(frozenset(row)),
    "an array": lambda row: repr(np.array(row, object)),
}


@given(sets, st.sampled_from(sorted(WRITERS)))
def test_sets_of_labels_however_they_are_written(rows, writer):
    values = [WRITERS[writer](row) for row in rows]
    labels = several(column(values)).labels
    unordered = WRITERS[writer] in (WRITERS["a set"], WRITERS["a frozenset"])
    kept = sorted if unordered else tuple
    assert [kept(row) for row in labels] == [kept(row) for row in rows]


@given(
    st.integers(2, 5).flatmap(
        lambda size: st.lists(
            st.lists(st.integers(0, 1), min_size=size, max_size=size), min_size=1, max_size=9
        )
    ),
    st.sampled_from(["list", "float", "bool", "text", "array", "separated"]),
)
def test_vectors_are_those_of_scikit_learn(rows, kind):
    """Multi-hot vectors name places, never the labels 0 and 1."""
    made = {
        "list": list,
        "float": lambda row: [float(x) for x in row],
        "bool": lambda row: [bool(x) for x in row],
        "text": str,
        "array": lambda row: str(np.array(row)),
        "separated": lambda row: ",".join(map(str, row)),
    }[kind]
    known = several(column([made(row) for row in rows], named="vwxyz"[: len(rows[0])]))
    binary = MultiLabelBinarizer(classes=list(known.declared)).fit_transform(known.labels)
    assert known.declared == tuple("vwxyz"[: len(rows[0])]) and binary.tolist() == rows
    decided = several(column([made(row) for row in rows]))
    if len({tuple(row) for row in rows}) == 1:
        return  # a column of one value, which leaves nothing to learn
    names = tuple(f"LABEL_{i}" for i in range(len(rows[0])))
    assert decided.declared == names
    binary = MultiLabelBinarizer(classes=list(names)).fit_transform(decided.labels)
    assert binary.tolist() == rows


def test_lists_of_class_numbers_are_no_vectors():
    assert several(column([[0], [0, 1], [2]])).labels == [("0",), ("0", "1"), ("2",)]
    assert several(column(["0", "1", "0,1"])).labels == [("0",), ("1",), ("0", "1")]
    assert several(column([[1.0], [2]])).labels == [("1",), ("2",)]
    assert several(column([[0, 1]], named="01")).labels == [("0", "1")]
    assert several(column([[1, 0]], named=("False", "True"))).labels == [("True", "False")]


def test_other_vectors_and_objects():
    with pytest.raises(UserError, match=r"task\.labels names 2: name one label a place"):
        several(column([[0, 1, 1], [1, 0, 0]], named="ab"))
    with pytest.raises(UserError, match="lists of real numbers"):
        several(column([[0.3, 0.7], [1.0, 0.0]]))
    decided = several(column([{"x": 1, "y": 0}, {"x": 0.0, "y": True}]))
    assert decided == ([("x",), ("y",)], ("x", "y"))
    assert kinds(several(column([None, "nan", "", ["a"]])).labels) == [NONE, NONE, (), ("a",)]


@given(st.lists(st.tuples(*[st.integers(0, 1)] * 3), min_size=1))
def test_a_column_a_label(rows):
    spell = [int, float, str, bool, lambda n: f"{n}.0", lambda n: str(bool(n))]
    names = ("x", "y", "z")
    columns = [
        column([spell[(i + j) % len(spell)](row[j]) for i, row in enumerate(rows)], name=name)
        for j, name in enumerate(names)
    ]
    decided = a_column_each(columns)
    assert decided.declared == names
    assert MultiLabelBinarizer(classes=list(names)).fit_transform(decided.labels).tolist() == [
        list(row) for row in rows
    ]


def test_a_column_that_holds_no_switch():
    decided = a_column_each([column([1, 0.4, None], name="x"), column([0, 1, 1], name="y")])
    assert kinds(decided.labels) == [("x",), NONE, NONE]
    assert "column 'x' holds 0.4, neither 0 nor 1" in str(decided.labels[1])
    with pytest.raises(UserError, match=r"data\.label names the columns x, y"):
        a_column_each([column([1], named="ab", name="x"), column([1], named="ab", name="y")])


@given(st.text(max_size=12))
def test_no_text_breaks_the_reading_of_lists(text):
    assert as_list(text) is None or isinstance(as_list(text), list)


@given(st.lists(st.text(max_size=5)))
def test_lists_written_as_text_come_back(items):
    assert as_list(str(items)) == items
    assert as_list(json.dumps(items)) == items


def test_a_list_that_numpy_cut_short_is_none():
    assert as_list(str(np.arange(5000))) is None


# Whole files.


def config(family: str, label: str = "label", **task) -> FinetuneConfig:
    return FinetuneConfig(task=TaskConfig(family=family, **task), data=ExamplesConfig(label=label))


def test_a_label_that_is_in_no_row_is_still_a_place_of_the_vectors(tmp_path):
    path = tmp_path / "a.jsonl"
    rows = [{"text": "a", "label": [1, 0, 0]}, {"text": "b", "label": [0, 1, 0]}]
    path.write_text("\n".join(map(json.dumps, rows)))
    cfg = config("multi_label")
    assert label_names(cfg, read_examples(str(path), cfg)[0]) == ("LABEL_0", "LABEL_1", "LABEL_2")
    path = tmp_path / "a.csv"
    path.write_text("text,toxic,insult\na,0,1\nb,0,0\n")
    cfg = config("multi_label", "toxic,insult")
    assert label_names(cfg, read_examples(str(path), cfg)[0]) == ("toxic", "insult")


def test_labels_of_two_files_meet_by_their_value(tmp_path):
    (tmp_path / "train.csv").write_text("text,label\na,1.0\nb,0.0\n")
    (tmp_path / "dev.jsonl").write_text('{"text": "a", "label": 1}\n{"text": "b", "label": 0}\n')
    cfg = config("classification")
    train = read_examples(str(tmp_path / "train.csv"), cfg)[0]
    dev = read_examples(str(tmp_path / "dev.jsonl"), cfg)[0]
    assert label_names(cfg, train) == ("0", "1") and [e.label for e in dev] == ["1", "0"]
    kept = replace(cfg, task=replace(cfg.task, labels=("0.0", "1.0")))  # of an older run
    assert [e.label for e in read_examples(str(tmp_path / "dev.jsonl"), kept)[0]] == ["1.0", "0.0"]
