"""Sentence tasks: rows against plain loops, labels, windows, scores."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st

from bertjax.config import ExamplesConfig, FinetuneConfig, TaskConfig
from bertjax.errors import UserError
from bertjax.tasks import classification, multi_label, regression
from bertjax.tasks.classification import Classification
from bertjax.tasks.multi_label import MultiLabel
from bertjax.tasks.regression import Regression
from bertjax.tasks.sentences import encode_sentences
from bertjax.tasks.task import Example
from bertjax.text.tokenizer import Tokenizer, load_tokenizer

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
CLS, SEP, FIRST = 2, 3, len(SPECIAL)
WORDS = 40  # w0 to w39 are ids from FIRST on


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory) -> Tokenizer:
    path = tmp_path_factory.mktemp("tokenizer") / "vocab.txt"
    path.write_text("\n".join([*SPECIAL, *(f"w{i}" for i in range(WORDS))]) + "\n")
    return load_tokenizer(path)


def words(start: int, count: int) -> str:
    return " ".join(f"w{(start + i) % WORDS}" for i in range(count))


def example(*texts: str, label=None, line: int = 2) -> Example:
    return Example(f"a.tsv:{line}", str(line - 2), texts, label)


def config(**data) -> FinetuneConfig:
    return FinetuneConfig(data=ExamplesConfig(**data))


def pieces(row: np.ndarray) -> list[list[int]]:
    """The texts of a row as word numbers."""
    assert row[0] == CLS and row[-1] == SEP
    cuts = np.flatnonzero(row == SEP)
    starts = [1, *(cuts[:-1] + 1)]
    return [(row[a:b] - FIRST).tolist() for a, b in zip(starts, cuts, strict=True)]


def test_short_texts_are_whole(tokenizer):
    rows = encode_sentences([example("w1 w2"), example("w3", "w4 w5")], tokenizer, ExamplesConfig())
    assert pieces(rows.tokens[0]) == [[1, 2]]
    assert pieces(rows.tokens[1]) == [[3], [4, 5]]
    assert rows.token_types[0].tolist() == [0, 0, 0, 0]
    assert rows.token_types[1].tolist() == [0, 0, 0, 1, 1, 1]
    assert rows.examples.tolist() == [0, 1]
    assert (rows.cut_tokens, rows.cut_examples) == (0, 0)


def test_a_pair_without_an_order_is_read_in_both_and_averaged(tokenizer):
    data = ExamplesConfig(both_orders=True, text_pair="b", max_length=8)
    pair, exchanged = example("w1 w2", "w3 w4 w5 w6 w7"), example("w3 w4 w5 w6 w7", "w1 w2")
    rows = encode_sentences([pair, exchanged], tokenizer, data)
    said = [pieces(row) for row in rows.tokens]
    assert said[:2] == [[[1, 2], [3, 4, 5]], [[3, 4, 5], [1, 2]]] and said[2:] == said[1::-1]
    assert rows.examples.tolist() == [0, 0, 1, 1]
    assert (rows.cut_tokens, rows.cut_examples) == (4, 2)
    task = Classification(FinetuneConfig(task=TaskConfig(labels=("a", "b")), data=data), ("a", "b"))
    shares = [np.array([p, 1 - p]) for p in (0.9, 0.5, 0.5, 0.9)]
    merged = task.merge(rows, [{"probabilities": share} for share in shares])
    np.testing.assert_allclose(merged, [[0.7, 0.3]] * 2)
    labelled = [replace(each, label="b") for each in (pair, exchanged)]
    assert task.encode(labelled, tokenizer).fixed["label"].tolist() == [1] * 4
    with pytest.raises(UserError, match="only pairs of texts have another order"):
        config(both_orders=True)


@pytest.mark.parametrize(
    ("how", "kept"),
    [("head", [0, 1, 2, 3, 4, 5]), ("tail", [4, 5, 6, 7, 8, 9]), ("middle", [0, 5, 6, 7, 8, 9])],
)
def test_truncation(tokenizer, how, kept):
    data = ExamplesConfig(max_length=8, truncation=how)
    rows = encode_sentences([example(words(0, 10)), example("w1")], tokenizer, data)
    assert pieces(rows.tokens[0]) == [kept]
    assert (rows.cut_tokens, rows.cut_examples) == (4, 1)


def test_real_pairs_are_the_rows_of_transformers(shared_data):
    transformers = pytest.importorskip("transformers")
    vocab = shared_data / "vocab" / "bert-base-uncased-vocab.txt"
    theirs = transformers.BertTokenizerFast(str(vocab))
    columns = ExamplesConfig(text="#1 String", text_pair="#2 String", label="Quality")
    path = str(shared_data / "glue" / "MRPC" / "dev.tsv")
    examples, _ = classification.read(path, FinetuneConfig(data=columns))
    rows = encode_sentences(examples[:200], load_tokenizer(vocab), columns)
    for row, types, each in zip(rows.tokens, rows.token_types, examples, strict=False):
        expected = theirs(*each.texts)
        assert row.tolist() == expected["input_ids"]
        assert types.tolist() == expected["token_type_ids"]


@given(st.integers(0, 20), st.integers(0, 20), st.integers(8, 24))
def test_pairs_are_truncated_as_by_the_library_that_serves_them(
    tokenizer, first, second, max_length
):
    """`truncation=True` of transformers is the library's `longest_first`."""
    engine = tokenizers.Tokenizer.from_str(tokenizer._canonical())
    engine.enable_truncation(max_length, strategy="longest_first")
    served = engine.encode(words(0, first), words(20, second))
    pair = example(words(0, first), words(20, second))
    rows = encode_sentences([pair], tokenizer, ExamplesConfig(max_length=max_length))
    assert rows.tokens[0].tolist() == served.ids
    assert rows.cut_tokens == first + second + 3 - len(served.ids)


@given(st.integers(0, 30), st.integers(1, 13))
def test_windows_of_a_text(tokenizer, length, step):
    expected = [list(range(min(length, 13)))]
    while expected[-1][-1:] != [length - 1] and length:
        start = len(expected) * step
        expected.append(list(range(start, min(length, start + 13))))
    data = ExamplesConfig(max_length=15, window_step=step)
    rows = encode_sentences([example(words(0, length))], tokenizer, data)
    assert [pieces(row)[0] for row in rows.tokens] == expected
    assert rows.examples.tolist() == [0] * len(expected)
    assert rows.cut_tokens == 0


@given(st.integers(0, 30), st.integers(0, 30), st.integers(1, 12))
def test_windows_of_a_pair_run_over_the_longer_text(tokenizer, first, second, step):
    data = ExamplesConfig(max_length=15, window_step=step)
    rows = encode_sentences([example(words(0, first), words(0, second))], tokenizer, data)
    found = [pieces(row) for row in rows.tokens]
    long = int(second > first)
    shorter = min(first, second)
    assert {token for row in found for token in row[long]} == set(range((first, second)[long]))
    assert all(row[1 - long] == list(range(min(shorter, 6))) for row in found)
    assert all(len(row) <= 15 for row in rows.tokens)
    assert rows.cut_tokens == max(0, shorter - 6)
    assert rows.cut_examples == int(shorter > 6)


def test_a_step_beyond_the_window_is_refused(tokenizer):
    data = ExamplesConfig(max_length=10, window_step=9)
    with pytest.raises(UserError, match=r"data\.window_step=9 for windows of 8 tokens"):
        encode_sentences([example("w1")], tokenizer, data)


def test_targets_follow_windows_and_windows_are_averaged(tokenizer):
    task = Classification(config(max_length=8, window_step=3), ("a", "b"))
    examples = [example(words(0, 3), label="b"), example(words(0, 10), label="a")]
    rows = task.encode(examples, tokenizer)
    assert rows.examples.tolist() == [0, 1, 1, 1]
    assert rows.fixed["label"].tolist() == [1, 0, 0, 0]
    assert rows.fixed["label"].dtype == np.int32
    shares = [[0.2, 0.8], [1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]
    merged = task.merge(rows, [{"probabilities": np.array(share, np.float32)} for share in shares])
    np.testing.assert_allclose(merged, [[0.2, 0.8], [0.5, 0.5]], rtol=1e-6)
    unlabelled = [replace(each, label=None) for each in examples]
    assert "label" not in task.encode(unlabelled, tokenizer).fixed
    assert task.merge(task.encode([], tokenizer), []) == []


def test_ensembles_are_weighted_means():
    task = Classification(config(), ("a", "b"))
    many = [[np.array([0.0, 1.0])], [np.array([0.6, 0.4])]]
    np.testing.assert_allclose(task.combine(many, [1, 2]), [[0.4, 0.6]])


def test_predictions():
    task = Classification(config(), ("a", "b"))
    made = task.predict([example("w1")], [np.array([0.25, 0.75])])
    assert made == [
        {"id": "0", "text": "w1", "prediction": "b", "probabilities": {"a": 0.25, "b": 0.75}}
    ]
    json.dumps(made)


def test_scores_of_a_hand_made_case():
    task = Classification(config(), ("no", "yes"))
    examples = [example("w", label=label) for label in ("yes", "yes", "no", "no", "no")]
    scores = [np.array([1 - p, p]) for p in (0.9, 0.2, 0.6, 0.1, 0.3)]
    result = task.score(examples, scores)
    assert result["accuracy"] == pytest.approx(3 / 5)
    assert result["f1"] == pytest.approx(1 / 2)  # of yes: one hit, two predicted, two true
    assert result["macro_f1"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert result["report"]["confusion"] == {"labels": ["no", "yes"], "counts": [[2, 1], [1, 1]]}
    assert result["report"]["classes"]["no"]["support"] == 3
    assert result["collapsed"] is False
    assert tuple(result)[: len(task.metrics)] == task.metrics
    json.dumps(result)


def test_a_collapsed_model_is_named():
    task = Classification(config(), ("a", "b", "c"))
    examples = [example("w", label=label) for label in "aab"]
    result = task.score(examples, [np.array([0.5, 0.3, 0.2])] * 3)
    assert result["collapsed"] is True
    assert result["mcc"] == 0.0
    assert "f1" not in result
    assert task.score(examples[:2], [np.array([0.5, 0.3, 0.2])] * 2)["collapsed"] is False


def test_reading_and_label_names(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("text\tlabel\na\t10 \nb\t9\nc\t-\n")
    cfg = config()
    with pytest.raises(UserError, match=r"a\.tsv:4: column 'label' has no label: '-'"):
        classification.read(str(path), cfg)
    examples, skipped = classification.read(str(path), config(skip_bad_rows=True))
    assert [each.label for each in examples] == ["10", "9"] and skipped == 1
    assert classification.label_names(examples) == ("9", "10")
    kept = [*examples, example("c", label="-")]
    assert classification.label_names(kept) == ("-", "10", "9")
    chosen = replace(cfg, task=TaskConfig(labels=("9", "10")))
    with pytest.raises(UserError, match=r"a\.tsv:4: label '-' is not in task.labels"):
        classification.read(str(path), chosen)
    skipping = replace(chosen, data=ExamplesConfig(skip_bad_rows=True))
    examples, skipped = classification.read(str(path), skipping)
    assert [each.label for each in examples] == ["10", "9"] and skipped == 1
    path.write_text("text\nwithout labels\n")
    examples, _ = classification.read(str(path), cfg, labelled=False)
    assert examples == [Example(f"{path}:2", "0", ("without labels",), None)]
    with pytest.raises(UserError, match=r"a\.tsv:1: the header has no column 'label'"):
        classification.read(str(path), cfg)


def test_labels_that_teach_nothing_are_refused(tokenizer):
    same = [example("w1", label="a"), example("w2", label="a")]
    with pytest.raises(UserError, match=r"a\.tsv: all 2 rows have the label 'a'.*data.label"):
        classification.label_names(same)
    both = [*same, example("w1", label="b")]
    assert classification.label_names(both, ("b", "a")) == ("b", "a")
    with pytest.raises(UserError, match=r"a\.tsv: no row has the label 'c' of task.labels"):
        classification.label_names(both, ("a", "b", "c"))
    dev = [example("w1", label="A", line=9)]
    with pytest.raises(UserError, match=r"a\.tsv:9: label 'A' is none of the"):
        Classification(config(), ("a", "b")).encode(dev, tokenizer)


def test_multi_label(tmp_path, tokenizer):
    path = tmp_path / "a.tsv"
    path.write_text("text\tlabel\nw1\tx; y;x\nw2\t\nw3\ty\n")
    cfg = config(label_separator=";")
    examples, _ = multi_label.read(str(path), cfg)
    assert [each.label for each in examples] == [("x", "y"), (), ("y",)]
    labels = multi_label.label_names(examples)
    assert labels == ("x", "y")
    task = MultiLabel(cfg, labels)
    target = task.encode(examples, tokenizer).fixed["label"]
    assert target.tolist() == [[1, 1], [0, 0], [0, 1]] and target.dtype == np.float32
    scores = [np.array(p) for p in ([0.5, 0.9], [0.1, 0.2], [0.7, 0.6])]
    result = task.score(examples, scores)
    assert result["exact_match"] == pytest.approx(2 / 3)
    assert result["micro_f1"] == pytest.approx(2 * 3 / (4 + 3))
    assert result["macro_f1"] == pytest.approx((2 / 3 + 1) / 2)
    assert [each["prediction"] for each in task.predict(examples, scores)] == [
        ["x", "y"],
        [],
        ["x", "y"],
    ]
    backwards = [replace(examples[0], label=("y", "x"))]
    assert task.predict(backwards, scores[:1])[0]["label"] == ["x", "y"]
    assert task.score(examples, [np.array([0.1, 0.9])] * 3)["collapsed"] is True
    json.dumps(result)


def test_bad_multi_labels(tokenizer):
    every = [example("w1", label=("x",)), example("w2", label=("x",))]
    with pytest.raises(UserError, match=r"a\.tsv: all 2 rows have the label \('x',\)"):
        multi_label.label_names(every)
    two = [every[0], example("w2", label=("y",), line=5)]
    with pytest.raises(UserError, match=r"no row has the label 'z' of task\.labels"):
        multi_label.label_names(two, ("x", "z"))
    with pytest.raises(UserError, match=r"a\.tsv:5: label 'y' is none of the"):
        MultiLabel(config(), ("x",)).encode(two, tokenizer)


def test_regression(tmp_path, tokenizer):
    path = tmp_path / "a.tsv"
    path.write_text("text\tlabel\nw1\t1.5\nw2\t-2\nw3\t4e0\n")
    cfg = FinetuneConfig(task=TaskConfig(family="regression"))
    examples, _ = regression.read(str(path), cfg)
    assert regression.label_names(examples) == ()
    task = Regression(cfg)
    target = task.encode(examples, tokenizer).fixed["label"]
    assert target.tolist() == [1.5, -2.0, 4.0] and target.dtype == np.float32
    result = task.score(examples, [np.array([v]) for v in (1.0, -1.0, 100.0)])
    assert result["spearman"] == pytest.approx(1.0)
    assert 0 < result["pearson"] < 1 and result["collapsed"] is False
    constant = task.score(examples, [np.array([2.5])] * 3)
    assert (constant["pearson"], constant["spearman"], constant["collapsed"]) == (0.0, 0.0, True)
    assert "all predictions are 2.5" in constant["report"]["note"]
    assert task.predict(examples[:1], [np.array([0.5])]) == [
        {"id": "0", "text": "w1", "label": examples[0].label, "prediction": 0.5}
    ]


@pytest.mark.parametrize("value", ["good", "nan", "inf", "1,5", "1e300", "-3.5e38"])
def test_bad_numbers(tmp_path, value):
    path = tmp_path / "a.tsv"
    path.write_text(f"text\tlabel\nw1\t1\nw2\t{value}\n")
    cfg = FinetuneConfig(task=TaskConfig(family="regression"))
    with pytest.raises(UserError, match=rf"a\.tsv:3: label '{value}' is no finite number"):
        regression.read(str(path), cfg)
    skipping = replace(cfg, data=ExamplesConfig(skip_bad_rows=True))
    examples, skipped = regression.read(str(path), skipping)
    assert ([each.label for each in examples], skipped) == ([1.0], 1)
    with pytest.raises(UserError, match="all 1 rows have the label 1"):
        regression.label_names(examples)
    assert not math.isnan(examples[0].label)
