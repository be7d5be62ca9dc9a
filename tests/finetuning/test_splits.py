"""Held-out examples and folds: equal examples on one side, and what is said of duplicates."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import GroupKFold

from bertjax.config import ExamplesConfig, FinetuneConfig, TaskConfig, TuneConfig
from bertjax.data import keyed
from bertjax.errors import UserError
from bertjax.finetuning.splits import folds, hold_out, open_splits
from bertjax.tasks.task import Example


def made(texts) -> list[Example]:
    return [Example(f"a.tsv:{i}", str(i), (text,), "x") for i, text in enumerate(texts)]


SPELT = {"json": (True, False), "title": ("True", "False"), "number": (1, 0), "real": (1.0, 0.0)}


@pytest.mark.parametrize("dev", sorted(SPELT))
@pytest.mark.parametrize("train", sorted(SPELT))
@pytest.mark.parametrize("family", ["classification", "multi_label"])
def test_one_label_is_one_in_every_file_however_it_is_spelt(tmp_path, family, train, dev):
    """As pandas, JSON and a spreadsheet write what is true."""
    paths = {}
    for name, (yes, no) in (("train", SPELT[train]), ("dev", SPELT[dev])):
        labels = [yes, no, yes, no] if family == "classification" else [[yes], [no], [yes], [no]]
        rows = (json.dumps({"text": f"{name} {i}", "label": x}) for i, x in enumerate(labels))
        paths[name] = str(tmp_path / f"{name}.jsonl")
        (tmp_path / f"{name}.jsonl").write_text("\n".join(rows))
    cfg = FinetuneConfig(
        task=TaskConfig(family=family), data=ExamplesConfig(label="label", text="text", **paths)
    )
    splits = open_splits(cfg)
    assert [e.label for e in splits.dev] == [e.label for e in splits.train]
    named = replace(cfg, task=replace(cfg.task, labels=splits.labels))
    assert [e.label for e in open_splits(named).dev] == [e.label for e in splits.train]


def test_vectors_that_are_all_alike_are_vectors_where_those_of_train_are(tmp_path):
    rows = {"train": np.eye(12, dtype=int).tolist(), "dev": [[0, 0, 1] + [0] * 9] * 2}
    for name, labels in rows.items():
        lines = (json.dumps({"text": f"{name} {i}", "label": x}) for i, x in enumerate(labels))
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines))
    data = ExamplesConfig(train=str(tmp_path / "train.jsonl"), dev=str(tmp_path / "dev.jsonl"))
    splits = open_splits(FinetuneConfig(task=TaskConfig(family="multi_label"), data=data))
    assert [e.label for e in splits.dev] == [("LABEL_2",)] * 2


texts = st.lists(st.sampled_from("abcdefgh"), min_size=2, max_size=40)


@given(texts, st.floats(0.05, 0.9))
def test_equal_examples_are_held_out_together(drawn, share):
    """Also where they differ in case and spaces alone."""
    varied = (text.upper() if i % 2 else text for i, text in enumerate(drawn))
    examples = made(f"{text}{' ' * (i % 3 + 1)}x" for i, text in enumerate(varied))
    count = round(share * len(examples))
    if not 0 < count < len(examples) or len(set(drawn)) == 1:
        with pytest.raises(UserError):
            hold_out(examples, share)
        return
    train, dev = hold_out(examples, share)
    keys = [{e.texts[0].split()[0].lower() for e in side} for side in (train, dev)]
    assert train and dev and not keys[0] & keys[1]
    assert sorted(e.id for e in (*train, *dev)) == sorted(e.id for e in examples)
    largest = max(map(drawn.count, drawn))
    assert abs(len(dev) - count) <= largest


@given(st.integers(2, 60), st.floats(0.05, 0.9), st.integers(2, 9))
def test_different_examples_are_split_as_they_always_were(size, share, ways):
    """Oracle: the draws by number alone, as they were before equal examples were looked for."""
    examples = made(map(str, range(size)))
    count = round(share * size)
    if 0 < count < size:
        order = np.argsort(keyed.bits(0, 1, np.arange(size)), kind="stable")[:count]
        assert [int(e.id) for e in hold_out(examples, share)[1]] == sorted(order.tolist())
    if ways <= size:
        order = np.argsort(keyed.bits(0, 2, np.arange(size)), kind="stable")
        expected = [np.sort(order[i::ways]).tolist() for i in range(ways)]
        assert [fold.tolist() for fold in folds(examples, ways)] == expected


@given(texts, st.integers(2, 8))
def test_folds_part_no_equals(drawn, ways):
    """The invariants of scikit-learn's GroupKFold: a partition in which no group is parted."""
    different = len(set(drawn))
    if ways > different:
        with pytest.raises(UserError, match=f"of {different} different examples"):
            folds(made(drawn), ways)
        return
    found = folds(made(drawn), ways)
    assert sorted(np.concatenate(found).tolist()) == list(range(len(drawn)))
    groups = np.array(drawn)
    theirs = [held for _, held in GroupKFold(ways).split(groups, groups=groups)]
    for parts in (found, theirs):
        kinds = [set(groups[part]) for part in parts]
        assert sum(map(len, kinds)) == different and all(kinds)


def write(path, rows):
    path.write_text(
        "\n".join(["text\tlabel", *(f"{text}\t{label}" for text, label in rows)]) + "\n"
    )
    return str(path)


def test_duplicates_and_contradictions_are_noted(tmp_path):
    train = write(tmp_path / "train.tsv", [("a", 1), ("b", 0), ("a", 1), ("b", 1), ("c", 0)])
    dev = write(tmp_path / "dev.tsv", [("a ", 1), ("d", 0)])
    cfg = FinetuneConfig(data=ExamplesConfig(train=train, dev=dev))
    report = "\n".join(open_splits(cfg).report())
    assert "1 of 5 examples have the text of another one and another label" in report
    assert f"1 of 2 examples are in data.train too, the first at {dev}:2" in report
    assert "labels 0 2, 1 3" in report and "equal to another one" not in report
    cfg = FinetuneConfig(data=ExamplesConfig(train=train), tune=TuneConfig(folds=2))
    report = "\n".join(open_splits(cfg).report())
    assert "2 of 5 examples are equal to another one: they stay on one side" in report


def test_examples_of_dev_in_test_and_classes_without_any_left_are_noted(tmp_path):
    train = write(tmp_path / "train.tsv", [("a", 1), ("b", 0), ("c", 1)])
    dev = write(tmp_path / "dev.tsv", [("x", 1), ("y", 0)])
    test = write(tmp_path / "test.tsv", [("X ", 1), ("z", 0)])
    cfg = FinetuneConfig(data=ExamplesConfig(train=train, dev=dev, test=test))
    report = open_splits(cfg).report()
    assert [line for line in report if "1 of 2 examples are in data.dev too, by which" in line]
    train = write(tmp_path / "t.tsv", [("a", 1), ("a", 1), ("b", 0), ("b", 0)])
    cfg = FinetuneConfig(data=ExamplesConfig(train=train, dev_share=0.5))
    report = "\n".join(open_splits(cfg).report())
    assert re.search("note   train: all examples of '[01]' are held out for dev, and none", report)
    with pytest.raises(UserError, match=r"data\.text=b names the column of data\.label too"):
        ExamplesConfig(text="b", label="b")
    with pytest.raises(UserError, match=r"data\.text=b names the column of data\.text_pair too"):
        ExamplesConfig(text="b", text_pair="b")


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=2))
def test_a_pair_and_its_exchange_are_held_out_together(pairs):
    examples = [Example(f"a.tsv:{i}", str(i), pair, "x") for i, pair in enumerate(pairs)]
    ways = len({frozenset(pair) for pair in pairs})
    if ways > 1:
        sides = folds(examples, min(ways, 3))
        kinds = [{frozenset(pairs[i]) for i in side} for side in sides]
        assert sum(map(len, kinds)) == ways


def test_exchanged_pairs_across_files_are_noted(tmp_path):
    """Not as contradictions: what follows from what depends on the order."""
    for name, rows in (("train", "a\tb\t1\nb\ta\t0\nc\td\t1\n"), ("dev", "d\tc\t0\na\tb\t1\n")):
        (tmp_path / f"{name}.tsv").write_text("one\ttwo\tlabel\n" + rows)
    train, dev = str(tmp_path / "train.tsv"), str(tmp_path / "dev.tsv")
    data = ExamplesConfig(train=train, dev=dev, text="one", text_pair="two")
    report = "\n".join(open_splits(FinetuneConfig(data=data)).report())
    assert "1 of 2 examples are in data.train with their two texts exchanged" in report
    assert "1 of 2 examples are in data.train too" in report and "another label" not in report


def test_labels_of_several_a_row_are_counted(tmp_path):
    """So that lists of numbers and vectors of 0 and 1 are told apart before the first step."""
    rows = "".join(json.dumps({"text": t, "label": label}) + "\n" for t, label in _SETS)
    (tmp_path / "a.jsonl").write_text(rows)
    data = ExamplesConfig(train=str(tmp_path / "a.jsonl"), dev=str(tmp_path / "a.jsonl"))
    cfg = FinetuneConfig(task=TaskConfig(family="multi_label"), data=data)
    assert "labels x 2, y 1; no label 1" in open_splits(cfg).report()


_SETS = [("a", ["x", "y"]), ("b", []), ("c", ["x"])]


def test_what_was_read_and_left_out_is_reported(tmp_path):
    train = write(tmp_path / "train.tsv", [("a", 1), ("b", 0), ("c\td", 1), (" ", 1), ("e", "")])
    dev = write(tmp_path / "dev.tsv", [("a1", 1), ("d", 2)])
    data = ExamplesConfig(train=train, dev=dev, skip_bad_rows=True)
    splits = open_splits(FinetuneConfig(data=data))
    assert splits.skipped == {"train": 3, "dev": 1}
    lines = splits.report()
    assert "read   train: files: 1 TSV" in lines
    assert (
        f"left   train: 3 (1 ragged, 1 blank text, 1 without a label), the first: {train}:4: 3 "
        "fields where the first line has 2" in lines
    )
    assert any(
        line.startswith(f"left   dev: 1 (1 another label), the first: {dev}:3") for line in lines
    )
