"""Tagged sentences from files to rows and back, on hand-made and on real data."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from bertjax.config import ExamplesConfig, FinetuneConfig, TaskConfig
from bertjax.errors import UserError
from bertjax.finetuning.settle import settle
from bertjax.finetuning.splits import Splits
from bertjax.tasks.tag_schemes import all_tags, problem
from bertjax.tasks.tagged_examples import read
from bertjax.tasks.tagging import Tagging, WordScores, label_names
from bertjax.tasks.task import Example
from bertjax.tasks.unlabelled import read_unlabelled
from bertjax.text.account import Account
from bertjax.text.tokenizer import load_tokenizer

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "new", "york", "##er", "paul", "in", "a"]


@pytest.fixture
def tokenizer(tmp_path):
    (tmp_path / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    return load_tokenizer(tmp_path / "vocab.txt")


def config(scheme: str = "IOB2", train_scheme: str = "", **data) -> FinetuneConfig:
    task = TaskConfig(family="tagging", scheme=scheme, train_scheme=train_scheme)
    return FinetuneConfig(task=task, data=ExamplesConfig(**data))


@pytest.mark.parametrize(
    ("scheme", "learnt", "written"),
    [
        ("IOB1", "IOB2", "I-PER I-PER O I-LOC B-LOC"),
        ("IOB1", "IOBES", "I-PER I-PER O I-LOC B-LOC"),
        ("IOB2", "IOBES", "B-PER I-PER O B-LOC B-LOC"),
        ("IOBES", "IOB2", "B-PER E-PER O S-LOC S-LOC"),
        ("IOB2", "", "B-PER I-PER O B-LOC B-LOC"),
        ("IOBES", "", "B-PER L-PER O U-LOC U-LOC"),
        ("BILOU", "IOB2", "B-PER L-PER O U-LOC U-LOC"),
        ("BMES", "", "B-PER E-PER O S-LOC S-LOC"),
        ("IOBES", "IOBES", "B-PER E-PER O W-LOC W-LOC"),
    ],
)
def test_predictions_are_in_the_scheme_of_the_file(tmp_path, scheme, learnt, written):
    """Whatever scheme is learnt; so is the label beside them."""
    words = ["paul", "yorker", "in", "new", "york"]
    path = tmp_path / "a.conll"
    path.write_text("\n".join(map(" ".join, zip(words, written.split(), strict=True))) + "\n")
    cfg = config(scheme, learnt)
    (example,), _ = read(str(path), cfg)
    labels = all_tags(("LOC", "PER"), cfg.task.learnt_scheme)
    cfg = settle(cfg, Splits([example], [], [], labels))
    right = WordScores(one_hot(example.label, labels), None)
    (line,) = Tagging(cfg, labels).predict([example], [right])
    assert line["tokens"] == words
    assert line["prediction"] == line["label"] == written.split()


def sentence(words: str, tags: str | None = None) -> Example:
    return Example("x:1", "0", tuple(words.split()), tuple(tags.split()) if tags else None)


def one_hot(tags, labels):
    return np.eye(len(labels))[[labels.index(tag) for tag in tags]]


def test_first_pieces_stand_for_words_and_what_gives_none_is_left_out(tokenizer):
    """As in transformers: the row of the exported model has no place for such a word either."""
    labels = all_tags(["LOC"], "IOB2")
    example = sentence("new yorker \x01 paul", "B-LOC I-LOC O O")
    task = Tagging(config(), labels)
    rows = task.encode([example, sentence("\x01", "O")], tokenizer)
    assert [tokenizer.token(i) for i in rows.tokens[0]] == [
        "[CLS]", "new", "york", "##er", "paul", "[SEP]",
    ]  # fmt: skip
    assert rows.ragged["word_positions"][0].tolist() == [1, 2, 4]
    assert rows.ragged["tags"][0].tolist() == [1, 2, 0]
    assert rows.tokens[1].tolist() == [tokenizer.special.cls, tokenizer.special.sep]
    assert rows.ragged["word_positions"][1].size == rows.cut_tokens == 0
    said = [one_hot(["B-LOC", "I-LOC", "I-LOC"], list(labels)), np.zeros((0, 3))]
    scores = task.merge(rows, [{"probabilities": p} for p in said])
    tags = [p["prediction"] for p in task.predict([example, sentence("\x01")], scores)]
    assert tags == [["B-LOC", "I-LOC", "O", "I-LOC"], ["O"]]


@pytest.mark.parametrize(
    ("how", "kept"),
    [("head", [0, 1, 2, 3, 4]), ("tail", [3, 4, 5, 6]), ("middle", [0, 4, 5, 6])],
)
def test_truncation_keeps_words_and_counts_what_is_cut(tokenizer, how, kept):
    cfg = config(max_length=8, truncation=how)  # six pieces of ten
    example = sentence("new york yorker a paul yorker yorker", "O O B-LOC O O B-LOC O")
    task = Tagging(cfg, all_tags(["LOC"], "IOB2"))
    rows = task.encode([example], tokenizer)
    assert rows.details[0][0].tolist() == kept
    assert rows.cut_examples == 1
    assert rows.cut_tokens == 10 - (len(rows.tokens[0]) - 2)
    right = one_hot([example.label[w] for w in kept], list(task.labels))
    (scores,) = task.merge(rows, [{"probabilities": right}])
    lost_an_entity = not {2, 5} <= set(kept)
    assert (task.score([example], [scores])["recall"] < 1) == lost_an_entity


def test_windows_cover_every_word_and_the_one_with_most_context_wins(tokenizer):
    cfg = config(scheme="none", max_length=8, window_step=3)
    words = " ".join(
        [
            "new",
            "york",
            "a",
            "paul",
            "in",
            "yorker",
            "new",
            "a",
            "york",
            "paul",
            "in",
            "a",
            "yorker",
        ]
    )
    example = sentence(words, " ".join("XY"[i % 2] for i in range(13)))
    task = Tagging(cfg, ("X", "Y"))
    rows = task.encode([example], tokenizer)
    chosen = [words.tolist() for words, _ in rows.details]
    assert len(chosen) > 2 and all(len(tokens) <= 8 for tokens in rows.tokens)
    assert set().union(*chosen) == set(range(13)) and rows.cut_tokens == 0
    # Each row claims a probability of its own, which shows whose word it was.
    outputs = [
        {"probabilities": np.full((len(c), 2), [i + 1.0, 0.0])} for i, c in enumerate(chosen)
    ]
    (scores,) = task.merge(rows, outputs)
    for word in range(13):
        context = [
            min(c.index(word), len(c) - 1 - c.index(word)) + 0.01 * len(c) if word in c else -1
            for c in chosen
        ]
        assert scores.probabilities[word, 0] == 1 + context.index(max(context))


def test_models_are_averaged_and_a_path_obeys_the_scheme():
    labels = all_tags(["X"], "IOB2")  # O, B-X, I-X
    task = Tagging(config(), labels)
    a = WordScores(np.array([[0.4, 0.1, 0.5], [0.1, 0.2, 0.7]]), np.array([0, 0]))
    b = WordScores(np.array([[0.3, 0.2, 0.5], [0.3, 0.1, 0.6]]), np.array([1, 2]))
    assert task.combine([[a]], [1.0])[0] is a
    (both,) = task.combine([[a], [b]], [3.0, 1.0])
    np.testing.assert_allclose(both.probabilities, (3 * a.probabilities + b.probabilities) / 4)
    assert [labels[i] for i in both.path] == ["B-X", "I-X"]  # I-X would be likelier, but may not
    plain = [WordScores(s.probabilities, None) for s in (a, b)]
    assert task.combine([[plain[0]], [plain[1]]], [1, 1])[0].path is None


def test_predictions_and_scores():
    labels = all_tags(["LOC"], "IOB2")
    task = Tagging(config(), labels)
    example = sentence("paul in new york", "O O B-LOC I-LOC")
    right = WordScores(one_hot(example.label, list(labels)), None)
    (prediction,) = task.predict([example], [right])
    assert prediction["entities"] == [{"type": "LOC", "start": 2, "end": 4, "text": "new york"}]
    assert task.score([example], [right])["f1"] == 1.0
    wrong = WordScores(one_hot(["O", "O", "B-LOC", "O"], list(labels)), None)
    score = task.score([example], [wrong])
    assert (score["f1"], score["accuracy"], score["collapsed"]) == (0.0, 0.75, False)
    with pytest.raises(UserError, match=r"x:1: label 'B-PER' is none of the"):
        task.score([sentence("a", "B-PER")], [right])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a O\nb\n", r":2: 1 columns, the lines above have 2"),
        ("a\n", r":1: 1 columns, need 2"),
        ("a O\nb I-X\n", r":2: 'I-X' cannot follow 'O', which IOB2"),
        ("a O\nb NN\n", r":2: 'NN' is neither O nor one of B, I"),
        ("", "no examples in it"),
        ("\n\n", "no examples in it"),
    ],
)
def test_bad_files_name_the_line_or_are_counted(tmp_path, text, message):
    from bertjax.tasks.families import read_examples

    path = tmp_path / "x.conll"
    path.write_text("good O\n\n" + text if text.strip() else text)
    shifted = message
    for n in (2, 1):
        shifted = shifted.replace(f":{n}:", f":{n + 2}:")
    with pytest.raises(UserError, match=shifted) as caught:
        read_examples(str(path), config())
    assert "\n" not in str(caught.value)
    if text.strip():
        examples, skipped = read_examples(str(path), config(skip_bad_rows=True))
        assert (len(examples), skipped) == (1, 1)


@pytest.mark.parametrize(
    ("other", "note"),
    [
        ("PER\u200b", ""),
        ("PER\u00a0", ""),
        ("per", "types of tags 'PER' (2), 'per' (1) differ only in case"),
        ("\u0420ER", "types of tags 'PER' (2), '\\u0420ER' (1) look alike"),
    ],
)
def test_types_of_tags_are_compared_as_labels_are(tmp_path, other, note):
    path, account = tmp_path / "x.conll", Account()
    path.write_text(f"a\tB-PER\nb\tO\n\nc\tB-{other}\nd\tI-{other}\n\ne\tB-PER\n")
    examples, _ = read(str(path), config("IOB2"), account=account)
    types = {tag[2:] for example in examples for tag in example.label if tag != "O"}
    assert types == ({"PER", other} if note else {"PER"})
    assert [said for said in account.notes if "types of tags" in said] == (
        [f"{path}: the {note.replace('(1)', '(2)')} and are kept apart"] if note else []
    )


def test_spellings_wide_spaces_and_what_cannot_be_learnt(tmp_path):
    path = tmp_path / "x.conll"
    path.write_text("a\u3000b\tB-X\nc L-X\nd U-Y\n")
    ((example,), _) = read(str(path), config("IOBES"))
    assert (example.texts, example.label) == (("a\u3000b", "c", "d"), ("B-X", "E-X", "S-Y"))
    path.write_text("a B-X\nb B-X\n")
    with pytest.raises(UserError, match=r"x.conll:1: neighbouring entities of one type"):
        read(str(path), config("IOB2", "IO"))
    for tag in ("-X", "BI-X"):
        path.write_text(f"a {tag}\n")
        with pytest.raises(UserError, match=f"'{tag}' is neither O nor"):
            read(str(path), config("IOB2"))
    for line, message in (
        ('{"text": "ab", "label": {"k": {"": [[2, 1]]}}}', "entity of k from 2 to 1"),
        ("[1]", "a JSON list, not an object"),
    ):
        (tmp_path / "c.jsonl").write_text(line + "\n")
        with pytest.raises(UserError, match=f"c.jsonl:1: .*{message}"):
            read(str(tmp_path / "c.jsonl"), config(layout="cluener"))
    (tmp_path / "c.jsonl").write_text('{"text": ["a"], "label": "O"}\n')
    with pytest.raises(UserError, match="is one string, not a list"):
        read(str(tmp_path / "c.jsonl"), config())


def test_a_long_word_is_cut_and_counted_and_middle_keeps_one(tokenizer):
    for how in ("head", "tail", "middle"):
        cfg = config("none", max_length=8, truncation=how)
        example = sentence("yorker" + "er" * 20 + " york" + "er" * 20, "X Y")
        rows = Tagging(cfg, ("X", "Y")).encode([example], tokenizer)
        assert len(rows.details[0][0]) == 1 and len(rows.tokens[0]) == 8
        assert rows.cut_examples == 1 and rows.cut_tokens > 20


@pytest.mark.parametrize("how", ["head", "tail", "middle"])
@pytest.mark.parametrize("lengths", [(1, 9, 1), (3, 3, 3), (1, 1, 30, 1), (2,) * 9])
def test_no_row_is_too_long_and_words_about_which_nothing_is_said_are_wrong(
    tokenizer, how, lengths
):
    cfg = config("none", max_length=8, truncation=how)
    words = tuple("yorker" + "er" * (n - 2) if n > 1 else "york" for n in lengths)
    example = Example("x:1", "0", words, ("Y",) * len(words))
    task = Tagging(cfg, ("X", "Y"))
    rows = task.encode([example], tokenizer)
    assert len(rows.tokens[0]) <= 8
    kept = rows.details[0][0]
    (scores,) = task.merge(rows, [{"probabilities": np.eye(2)[np.ones(len(kept), int)]}])
    score = task.score([example], [scores])
    assert score["accuracy"] == pytest.approx(len(kept) / len(words)) and len(kept) < len(words)
    (prediction,) = task.predict([example], [scores])
    assert prediction["prediction"].count(None) == len(words) - len(kept)


def test_labels_that_are_no_tags_are_refused():
    for labels in (("nope",), ("B-X", "I-X")):
        with pytest.raises(UserError, match="are not tags of IOB2"):
            Tagging(config(), labels)


def test_layouts(tmp_path):
    lists = tmp_path / "x.jsonl"
    lists.write_text(json.dumps({"tokens": ["a", "b"], "tags": ["B-X", "I-X"]}) + "\n")
    cfg = config(text="tokens", label="tags", train_scheme="IOBES")
    ((example,), _) = read(str(lists), cfg)
    assert (example.texts, example.label) == (("a", "b"), ("B-X", "E-X"))
    assert label_names([example], (), "IOBES") == ("O", "B-X", "I-X", "E-X", "S-X")
    clue = tmp_path / "c.jsonl"
    record = {"text": "我爱北京", "label": {"address": {"北京": [[2, 3]]}}}
    clue.write_text(json.dumps(record, ensure_ascii=False) + "\n")
    ((example,), _) = read(str(clue), config(layout="cluener"))
    assert example.texts == tuple("我爱北京")
    assert example.label == ("O", "O", "B-address", "I-address")
    record["label"]["address"]["北京"] = [[1, 2]]
    clue.write_text(json.dumps(record, ensure_ascii=False) + "\n")
    with pytest.raises(UserError, match=r"c.jsonl:1: '北京' is not at 1..2, but '爱北'"):
        read(str(clue), config(layout="cluener"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "cfg", "count"),
    [
        ("conll2000/test.txt", config(), 2012),
        ("ud_english_ewt/en_ewt-ud-dev.conllu.xz", config(scheme="none"), 2001),
        ("cluener/dev.jsonl", config(layout="cluener", train_scheme="IOBES"), 1343),
        ("wnut17/train.conll", config(), 3394),
    ],
)
def test_real_files(shared_data, file, cfg, count):
    examples, skipped = read(str(shared_data / file), cfg)
    assert (len(examples), skipped) == (count, 0)
    learnt = cfg.task.train_scheme or cfg.task.scheme
    assert all(problem(e.label, learnt) is None for e in examples)
    vocabulary = "chinese" if "cluener" in file else "uncased"
    tokenizer = load_tokenizer(shared_data / "vocab" / f"bert-base-{vocabulary}-vocab.txt")
    task = Tagging(
        replace(cfg, data=replace(cfg.data, max_length=512)), label_names(examples, (), learnt)
    )
    rows = task.encode(examples[:300], tokenizer)
    truth = [{"probabilities": np.eye(len(task.labels))[tags]} for tags in rows.ragged["tags"]]
    scores = task.merge(rows, truth)
    assert task.score(examples[:300], scores)[task.metrics[0]] == 1.0


def test_one_tag_for_all_words_leaves_nothing_to_learn():
    with pytest.raises(UserError, match=r"x:1: all words of the 2 sentences have the tag 'O'"):
        label_names([sentence("a b", "O O"), sentence("c", "O")], scheme="IOB2")


def test_a_txt_is_plain_lines_unless_the_run_learnt_from_one(tmp_path):
    path = tmp_path / "new.txt"
    path.write_text("Paul B-PER\nslept O\n\nGo O\n")

    def words(train: str) -> list:
        examples, _ = read_unlabelled(str(path), config(layout="conll", train=train))
        return [example.texts for example in examples]

    assert words("train.conll") == [("Paul", "B-PER"), ("slept", "O"), ("Go", "O")]
    assert words("train.txt.xz") == [("Paul", "slept"), ("Go",)]
