"""Multiple choice: files of SWAG's and RACE's kind, rows, shares."""

from __future__ import annotations

import json
import lzma
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertjax.config import ExamplesConfig, FinetuneConfig, TaskConfig
from bertjax.errors import UserError
from bertjax.tasks import multiple_choice
from bertjax.tasks.families import label_names
from bertjax.tasks.multiple_choice import MultipleChoice
from bertjax.tasks.task import Example, Rows
from bertjax.text.tokenizer import load_tokenizer

PIECES = "[PAD] [UNK] [CLS] [SEP] [MASK] she opens the door and leaves it shut a cat is where ?"


def config(choices=("ending0", "ending1", "ending2"), **data) -> FinetuneConfig:
    return FinetuneConfig(
        task=TaskConfig(family="multiple_choice"),
        data=replace(ExamplesConfig(text="sent1", choices=choices), **data),
    )


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    path = tmp_path_factory.mktemp("tokenizer") / "vocab.txt"
    path.write_text("\n".join(PIECES.split()), encoding="utf-8")
    return load_tokenizer(path)


SWAG = """id,sent1,sent2,ending0,ending1,ending2,label
x,She opens the door.,She,leaves.,"is a cat, shut.",shut it.,1
y,A cat.,It,leaves.,is.,opens.,ending2
z,A cat.,It,leaves.,is.,opens.,a
"""


def test_swag(tmp_path):
    path = tmp_path / "swag.csv"
    path.write_text(SWAG, encoding="utf-8")
    examples, skipped = multiple_choice.read(str(path), config(text_pair="sent2"))
    assert skipped == 0
    assert [(e.id, e.label) for e in examples] == [("x", 1), ("y", 2), ("z", 0)]
    assert examples[0].texts == (
        "She opens the door.", "She leaves.", "She is a cat, shut.", "She shut it."
    )  # fmt: skip
    assert examples[0].place == f"{path}:2"
    (alone, *_), _ = multiple_choice.read(str(path), config())
    assert alone.texts[1:] == ("leaves.", "is a cat, shut.", "shut it.")


def test_jsonl_and_unlabelled(tmp_path):
    path = tmp_path / "a.jsonl"
    rows = [{"sent1": "a", "ending0": "b", "ending1": "c", "ending2": "d", "label": 2}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (example,), _ = multiple_choice.read(str(path), config())
    assert (example.texts, example.label) == (("a", "b", "c", "d"), 2)
    del rows[0]["label"]
    path.write_text(json.dumps(rows[0]), encoding="utf-8")
    (example,), _ = multiple_choice.read(str(path), config(), labelled=False)
    assert example.label is None


@pytest.mark.parametrize("label", ["3", "-1", "D", "1.0", "ending3", "AB"])
def test_a_label_that_names_no_ending_is_refused_or_skipped(tmp_path, label):
    path = tmp_path / "a.csv"
    path.write_text(SWAG.replace("ending2\nz", f"{label}\nz"), encoding="utf-8")
    with pytest.raises(UserError) as caught:
        multiple_choice.read(str(path), config())
    assert str(caught.value).startswith(f"{path}:3: label {label!r} is none of the 3 endings")
    assert "\n" not in str(caught.value)
    examples, skipped = multiple_choice.read(str(path), config(skip_bad_rows=True))
    assert ([e.id for e in examples], skipped) == (["x", "z"], 1)


def test_the_name_of_an_ending_comes_before_its_letter(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("sent1\tB\tA\tlabel\nx\tone\ttwo\tA\n", encoding="utf-8")
    (example,), _ = multiple_choice.read(str(path), config(choices=("B", "A")))
    assert example.label == 1


def written(path, choices, labels) -> str:
    rows = [f"q{i}\t" + "\t".join("abcd") + f"\t{label}" for i, label in enumerate(labels)]
    path.write_text("\n".join(["\t".join(["sent1", *choices, "label"]), *rows]) + "\n")
    return str(path)


@pytest.mark.parametrize(
    ("choices", "labels", "expected"),
    [
        ("1234", "1234", [0, 1, 2, 3]),  # names
        ("1234", "4444", [3, 3, 3, 3]),
        ("1234", "1203", [1, 2, 0, 3]),  # numbers
        ("2345", "0123", [0, 1, 2, 3]),
        ("2345", "5325", [3, 1, 0, 3]),
        ("1023", "3223", [3, 2, 2, 3]),  # either
        ("1234", "ABDC", [0, 1, 3, 2]),
        (("01", "02", "03", "04"), ("01", "02"), [0, 1]),
    ],
)
def test_a_column_of_digits_is_of_names_or_of_numbers(tmp_path, choices, labels, expected):
    path = written(tmp_path / "a.tsv", choices, labels)
    examples, _ = multiple_choice.read(path, config(choices=tuple(choices)))
    assert [e.label for e in examples] == expected


@pytest.mark.parametrize(
    ("choices", "labels", "says"),
    [
        ("1234", "1233", "the labels 1, 2, 3 are both such names and numbers of endings from 0"),
        ("1023", "0123", "the labels 0, 1, 2, 3 are both such names and numbers"),
        ("1234", "04", "the labels 0, 4 are neither all such names nor all numbers"),
        ("2345", "1234", "the labels go from 1 to 4, and endings are counted from 0"),
    ],
)
def test_digits_that_are_both_or_neither_are_refused(tmp_path, choices, labels, says):
    path = written(tmp_path / "a.tsv", choices, labels)
    with pytest.raises(UserError) as caught:
        multiple_choice.read(path, config(choices=tuple(choices), skip_bad_rows=True))
    assert says in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("labels", ["0213", "1234"])
def test_columns_without_a_header_are_not_taken_for_names(tmp_path, labels):
    """Though these are called 2 to 5."""
    path = tmp_path / "a.tsv"
    written(path, "2345", labels)
    path.write_text(path.read_text().split("\n", 1)[1])
    cfg = config(choices=tuple("2345"), header=False, text="1", label="6")
    if labels == "0213":
        assert [e.label for e in multiple_choice.read(str(path), cfg)[0]] == [0, 2, 1, 3]
    else:
        with pytest.raises(UserError, match="the labels go from 1 to 4"):
            multiple_choice.read(str(path), cfg)


RACE = {
    "id": "middle1.txt",
    "article": "A cat opens the door.",
    "questions": ["Where is it?", "The cat opens _ and leaves."],
    "options": [["shut", "door"], ["it", "a cat"]],
    "answers": ["B", "A"],
}


def test_race_as_a_directory_and_as_a_file(tmp_path):
    folder = tmp_path / "train" / "middle"
    folder.mkdir(parents=True)
    (folder / "1.txt").write_text(json.dumps(RACE), encoding="utf-8")
    (folder / "2.txt").write_text(json.dumps({**RACE, "id": "middle2.txt"}), encoding="utf-8")
    with lzma.open(tmp_path / "one.json.xz", "wt", encoding="utf-8") as stream:
        json.dump(RACE, stream)
    cfg = config(choices=("A", "B"))
    examples, skipped = multiple_choice.read(str(tmp_path / "train"), cfg)
    assert skipped == 0
    assert [e.id for e in examples] == [f"middle{i}.txt-{k}" for i in (1, 2) for k in (0, 1)]
    assert examples[0].texts == (RACE["article"], "Where is it? shut", "Where is it? door")
    assert examples[1].texts[1:] == (
        "The cat opens it and leaves.",
        "The cat opens a cat and leaves.",
    )
    assert [e.label for e in examples] == [1, 0, 1, 0]
    again, _ = multiple_choice.read(str(tmp_path / "one.json.xz"), cfg)
    assert [(e.texts, e.label) for e in again] == [(e.texts, e.label) for e in examples[:2]]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"article": 3}, "no object with a text 'article'"),
        ({"options": None}, "are not all lists"),
        ({"options": [["a", "b"]]}, "2 questions with 1 lists of options"),
        ({"answers": ["A"]}, "and 1 answers"),
        ({"options": [["a", 3], ["a", "b"]]}, "the options of question 0 are no list of texts"),
        ({"options": [["a", "b", "c"], ["a", "b"]]}, r"json:0: 3 options .* names 2"),
        ({"answers": ["C", "A"]}, r"json:0: label 'C' is none"),
        ({"article": " "}, "blank"),
    ],
)
def test_bad_race_is_refused_in_one_line(tmp_path, changes, expected):
    path = tmp_path / "a.json"
    path.write_text(json.dumps({**RACE, **changes}), encoding="utf-8")
    with pytest.raises(UserError, match=expected) as caught:
        multiple_choice.read(str(path), config(choices=("A", "B")))
    assert "\n" not in str(caught.value)


def test_what_is_not_json_or_not_there_is_refused(tmp_path):
    (tmp_path / "a.json").write_text("{", encoding="utf-8")
    for path, expected in (
        (tmp_path / "a.json", "not JSON"),
        (tmp_path / "b.json", "no such file"),
    ):
        with pytest.raises(UserError, match=expected):
            multiple_choice.read(str(path), config())
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"no \.txt or \.json"):
        multiple_choice.read(str(tmp_path / "empty"), config())


def test_windows_are_refused():
    with pytest.raises(UserError, match=r"data\.window_step=4 with task\.family=multiple_choice"):
        MultipleChoice(config(window_step=4))


def test_rows_by_hand(tiny):
    texts = ("She opens the door", "and leaves it", "shut", "is where the cat leaves it")
    examples = [Example("f:1", "x", texts, 2), Example("f:2", "y", ("a", "b", "c", "cat"), 0)]
    rows = MultipleChoice(config(max_length=10)).encode(examples, tiny)
    words = [" ".join(tiny.token(i) for i in row) for row in rows.tokens]
    assert words == [
        "[CLS] she opens the door [SEP] and leaves it [SEP]",
        "[CLS] she opens the door [SEP] shut [SEP]",
        "[CLS] she opens the [SEP] is where the cat [SEP]",
        *(f"[CLS] a [SEP] {word} [SEP]" for word in ("[UNK]", "[UNK]", "cat")),
    ]
    assert rows.token_types[1].tolist() == [0] * 6 + [1] * 2
    assert rows.group == 3
    assert rows.examples.tolist() == [0, 0, 0, 1, 1, 1]
    assert rows.fixed["label"].tolist() == [2, 2, 2, 0, 0, 0]
    assert rows.fixed["label"].dtype == np.int32
    assert (rows.cut_tokens, rows.cut_examples) == (3, 1)
    unlabelled = [replace(example, label=None) for example in examples]
    assert MultipleChoice(config()).encode(unlabelled, tiny).fixed == {}


@pytest.mark.parametrize(
    ("how", "expected"),
    [("head", "she opens the [SEP] leaves it"), ("tail", "opens the door [SEP] leaves it")],
)
def test_either_end_of_a_long_text_is_kept(tiny, how, expected):
    cfg = config(choices=("A", "B"), max_length=8, truncation=how)
    rows = MultipleChoice(cfg).encode(
        [Example("f:1", "x", ("She opens the door", "leaves it", "a cat"), 0)], tiny
    )
    words = [tiny.token(i) for i in rows.tokens[0]]
    assert " ".join(words[1:-1]) == expected


def test_pairs_are_framed_as_transformers_frames_them(shared_data):
    transformers = pytest.importorskip("transformers")
    vocabulary = shared_data / "vocab/bert-base-uncased-vocab.txt"
    theirs = transformers.BertTokenizerFast(str(vocabulary))
    texts = ("Why is the sky blue? " * 9, "Rayleigh scattering.", "It isn't, honestly. " * 12)
    cfg = config(choices=("A", "B"), max_length=33)
    rows = MultipleChoice(cfg).encode([Example("f:1", "x", texts, 0)], load_tokenizer(vocabulary))
    # An even number of tokens: on a tie the two cut different sides first.
    for i, ending in enumerate(texts[1:]):
        want = theirs(texts[0], ending, truncation="longest_first", max_length=33)
        assert rows.tokens[i].tolist() == want["input_ids"]
        assert rows.token_types[i].tolist() == want["token_type_ids"]


@given(st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3), min_size=1, max_size=5))
def test_shares_are_grouped_and_the_largest_wins(shares):
    count = len(shares)
    rows = Rows([], [], np.repeat(np.arange(count), 3), group=3)
    outputs = [{"probabilities": np.array([p])} for group in shares for p in group]
    task = MultipleChoice(config())
    scores = task.merge(rows, outputs)
    np.testing.assert_array_equal(scores, shares)
    examples = [Example("f", str(i), ("", "", "", ""), i % 3) for i in range(count)]
    predictions = task.predict(examples, scores)
    for prediction, group in zip(predictions, shares, strict=True):
        assert group[prediction["prediction"]] == max(group)
        assert prediction["probabilities"][prediction["choice"]] == max(group)
        json.dumps(prediction)
    right = sum(p["prediction"] == i % 3 for i, p in enumerate(predictions))
    assert task.score(examples, scores)["accuracy"] == right / count


def test_ensembles_average_and_collapse_is_seen():
    task = MultipleChoice(config())
    one, two = [np.array([0.5, 0.3, 0.2])] * 2, [np.array([0.1, 0.9, 0.0])] * 2
    combined = task.combine([one, two], [3.0, 1.0])
    np.testing.assert_allclose(combined, [[0.4, 0.45, 0.15]] * 2)
    examples = [Example("f", "0", (), 1), Example("f", "1", (), 0)]
    assert task.score(examples, combined) == {"accuracy": 0.5, "collapsed": True}
    assert task.score(examples[:1], combined[:1])["collapsed"] is False


def test_one_ending_that_is_always_right_leaves_nothing_to_learn():
    examples = [Example(f"f:{i}", str(i), ("a", "b", "c", "d"), 2) for i in (1, 2)]
    with pytest.raises(UserError, match="f: all 2 rows have the label 2, which leaves nothing"):
        label_names(config(), examples)
