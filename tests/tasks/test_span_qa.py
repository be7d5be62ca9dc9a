"""Extractive QA: windows against those of the tokenizers library, targets, thresholds, scores."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertjax.config import ExamplesConfig, FinetuneConfig, TaskConfig
from bertjax.errors import UserError
from bertjax.tasks import squad_file
from bertjax.tasks.span_qa import SpanQA
from bertjax.tasks.span_windows import Context, cut, read_context
from bertjax.tasks.task import Example
from bertjax.text.tokenizer import load_tokenizer

PIECES = "[PAD] [UNK] [CLS] [SEP] [MASK] the cat sat on mat where is it ? , cafe ##s 猫 在 哪"


def config(**changes) -> FinetuneConfig:
    """A config of span_qa; keywords are fields of `task` or `data`."""
    names = ExamplesConfig.__dataclass_fields__
    data = {name: value for name, value in changes.items() if name in names}
    task = {name: value for name, value in changes.items() if name not in names}
    return FinetuneConfig(
        task=TaskConfig(family="span_qa", **task),
        data=replace(ExamplesConfig(max_length=384, window_step=128), **data),
    )


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    path = tmp_path_factory.mktemp("tokenizer") / "vocab.txt"
    path.write_text("\n".join(PIECES.split()), encoding="utf-8")
    return load_tokenizer(path)


@pytest.fixture(scope="module")
def tokenizers(shared_data):
    names = {"en": "bert-base-uncased-vocab.txt", "zh": "bert-base-chinese-vocab.txt"}
    return {key: load_tokenizer(shared_data / "vocab" / name) for key, name in names.items()}


def test_offsets_index_the_original_text(tiny):
    text = "Cafe\u0301s,  猫在 the cafés"
    context = read_context(text, tiny)
    spans = zip(context.starts, context.ends, strict=True)
    # The accent is stripped before pieces are made, whether composed or not.
    assert [text[start:end] for start, end in spans] == [
        "Cafe\u0301", "s", ",", "猫", "在", "the", "café", "s"
    ]  # fmt: skip
    assert context.pieces_of(text.index("在"), 1) == (4, 4)
    assert context.pieces_of(1, 2) == (0, 0)  # inside a piece
    assert context.pieces_of(6, 1) == (2, 2)
    assert context.pieces_of(7, 2) is None  # spaces only


def test_rows_and_targets_by_hand(tiny):
    text = "The cat sat on the mat, the cat sat."
    example = Example("f:1", "q", ("Where is the cat?", text), ((19, "mat"),))
    rows = SpanQA(config(max_length=12, max_query=3, window_step=3)).encode([example], tiny)
    # [CLS] where is the [SEP] 6 of 11 pieces [SEP]; the question's other two are cut.
    assert [" ".join(tiny.token(i) for i in row) for row in rows.tokens] == [
        "[CLS] where is the [SEP] the cat sat on the mat [SEP]",
        "[CLS] where is the [SEP] on the mat , the cat [SEP]",
        "[CLS] where is the [SEP] , the cat sat [UNK] [SEP]",
    ]
    assert rows.token_types[0].tolist() == [0] * 5 + [1] * 7
    assert rows.fixed["span"].tolist() == [[10, 10], [7, 7], [0, 0]]
    assert rows.examples.tolist() == [0, 0, 0]
    assert (rows.cut_tokens, rows.cut_examples) == (2, 1)
    held = [window.most_context.nonzero()[0].tolist() for window in rows.details]
    assert held == [[0, 1, 2, 3, 4], [2, 3, 4], [2, 3, 4]]


@pytest.mark.parametrize(
    ("how", "kept", "span"),
    [
        ("head", "the cat sat on", (0, 0)),
        ("tail", "on the mat [UNK]", (8, 8)),
        ("middle", "the the mat [UNK]", (8, 8)),
    ],
)
def test_without_windows_the_context_is_truncated_and_counted(tiny, how, kept, span):
    example = Example("f:1", "q", ("Where is it?", "The cat sat on the mat."), ((19, "mat"),))
    task = SpanQA(config(max_length=11, max_query=4, window_step=0, truncation=how))
    rows = task.encode([example], tiny)
    (row,) = rows.tokens
    assert [tiny.token(i) for i in row[6:-1]] == kept.split()
    assert rows.fixed["span"].tolist() == [list(span)]
    assert (rows.cut_tokens, rows.cut_examples) == (3, 1)


def test_targets_without_an_answer_or_without_pieces(tiny):
    context = "cat \u200b mat"  # the tokenizer drops the zero-width space
    none = Example("f:1", "a", ("it", context), ())
    dropped = Example("f:2", "b", ("it", context), ((4, "\u200b"),))
    rows = SpanQA(config(no_answer=True)).encode([none, dropped], tiny)
    assert rows.fixed["span"].tolist() == [[0, 0], [-1, -1]]
    unlabelled = Example("f:3", "c", ("it", context))
    assert SpanQA(config()).encode([none, unlabelled], tiny).fixed == {}


def test_too_little_room_is_refused():
    with pytest.raises(UserError, match=r"leaves 61 tokens of context, fewer than .*_step=64"):
        SpanQA(config(max_length=128, window_step=64))
    SpanQA(config(max_length=128, window_step=61))
    with pytest.raises(UserError, match=r"leaves -3 tokens"):
        SpanQA(config(max_length=64, window_step=0))


def test_windows_are_those_of_the_tokenizers_library(shared_data, tokenizers):
    """Its `stride` is the overlap, ours the step."""
    transformers = pytest.importorskip("transformers")
    path = shared_data / "covid_qa/200423_covidQA.json.xz"
    examples, _ = squad_file.read(str(path), config(skip_bad_rows=True))
    examples = examples[::300]
    task = SpanQA(config(max_length=128, max_query=64, window_step=40))
    rows = task.encode(examples, tokenizers["en"])
    vocabulary = str(shared_data / "vocab/bert-base-uncased-vocab.txt")
    oracle = transformers.BertTokenizerFast(vocabulary)
    for i, example in enumerate(examples):
        mine = [row.tolist() for row, e in zip(rows.tokens, rows.examples, strict=True) if e == i]
        size = 128 - 3 - len(oracle.tokenize(example.texts[0]))
        theirs = oracle(
            *example.texts,
            truncation="only_second",
            max_length=128,
            stride=size - 40,
            return_overflowing_tokens=True,
        )
        assert mine == theirs["input_ids"]
        assert len(mine) > 20


@given(st.integers(1, 60), st.integers(1, 20), st.data())
def test_most_context_is_that_of_a_plain_loop(length, size, data):
    """Each piece belongs to exactly one window, as run_squad.py scores them."""
    step = data.draw(st.integers(1, size))
    places = np.arange(length)
    context = Context("x" * length, np.zeros(length, np.int32), places, places + 1)
    made = cut(context, 0, size, ExamplesConfig(window_step=step, max_length=64))
    for piece in range(length):
        best, chosen = -1.0, None
        for window in made:
            if piece in window.pieces:
                before, after = piece - window.pieces[0], window.pieces[-1] - piece
                value = min(before, after) + 0.01 * len(window.pieces)
                if value > best:
                    best, chosen = value, window
        owners = [w for w in made if piece in w.pieces[w.most_context]]
        assert len(owners) == 1
        assert owners[0] is chosen


@pytest.mark.parametrize(
    ("name", "language", "scoring", "f1"),
    [
        ("squad_v1.1_slice/dev-slice.json", "en", "squad", 1.0),
        ("xquad/xquad.zh.json.xz", "zh", "cmrc", 1.0),
        ("drcd/DRCD_test.json.xz", "zh", "cmrc", 0.995),  # "2" of "214" is no piece of its own
    ],
)
def test_logits_of_the_targets_bring_the_answers_back(
    shared_data, tokenizers, name, language, scoring, f1
):
    task = SpanQA(config(scoring=scoring, max_answer=100))
    examples, _ = squad_file.read(str(shared_data / name), config())
    examples = examples[:400]
    rows = task.encode(examples, tokenizers[language])
    outputs = []
    for tokens, (start, end) in zip(rows.tokens, rows.fixed["span"], strict=True):
        logits = np.zeros((len(tokens), 2), np.float32)
        if start:
            logits[start, 0] = logits[end, 1] = 9.0
        outputs.append({"logits": logits})
    scores = task.merge(rows, outputs)
    assert task.score(examples, scores)["f1"] >= f1
    for example, score in zip(examples, scores, strict=True):
        best = score["candidates"][0]
        assert example.texts[1][best["start"] : best["end"]] == best["text"]


def test_a_context_without_pieces_has_no_answer(tiny):
    example = Example("f:1", "q", ("it", "\u200b"), None)
    task = SpanQA(config(no_answer=True))
    rows = task.encode([example], tiny)
    scores = task.merge(rows, [{"logits": np.zeros((len(rows.tokens[0]), 2))}])
    (prediction,) = task.predict([example], scores)
    assert prediction == {
        "id": "q", "question": "it", "prediction": "", "n_best": [], "no_answer_score": None
    }  # fmt: skip


def scores_of(null=0.0, **logits):
    """Scores of one question whose context is "stuvwx", from logits of single letters."""
    candidates = [
        {"text": s, "start": "stuvwx".index(s), "end": "stuvwx".index(s) + 1, "logit": v}
        for s, v in sorted(logits.items(), key=lambda item: -item[1])
    ]
    return {"candidates": [{**c, "probability": 0.0} for c in candidates], "null": null}


def labelled(count, answerable):
    label = ((0, "s"),) if answerable else ()
    return [Example("f:1", str(i), ("?", "stuvwx"), label) for i in range(count)]


margins = st.lists(st.tuples(st.integers(-4, 4), st.booleans()), min_size=1, max_size=8)


@given(margins, margins)
def test_the_tuned_threshold_gives_the_best_f1_it_promises(answerable, unanswerable):
    examples = labelled(len(answerable), True) + labelled(len(unanswerable), False)
    scores = [
        scores_of(null=float(null), **{"s" if right else "t": 0.0})
        for null, right in answerable + unanswerable
    ]
    cfg = config(no_answer=True)
    promised = SpanQA(cfg).score(examples, scores)
    threshold = SpanQA(cfg).tune_threshold(examples, scores)
    tuned = SpanQA(cfg, null_threshold=threshold)
    assert threshold == promised["report"]["best_f1_threshold"]
    assert tuned.score(examples, scores)["f1"] == pytest.approx(promised["best_f1"])
    assert promised["best_f1"] >= promised["f1"] - 1e-12
    predictions = tuned.predict(examples, scores)
    for prediction, (null, right) in zip(predictions, answerable + unanswerable, strict=True):
        assert prediction["no_answer_score"] == pytest.approx(null)
        expected = "" if null > threshold else "s" if right else "t"
        assert prediction["prediction"] == expected


def test_scores_by_hand():
    examples = labelled(2, True) + labelled(2, False)
    # Right, taken back though right, rightly taken back, wrong.
    scores = [scores_of(s=1.0, t=0.0), scores_of(s=-1.0), scores_of(s=-1.0), scores_of(t=0.5)]
    result = SpanQA(config(no_answer=True)).score(examples, scores)
    assert result["f1"] == result["exact_match"] == 0.5
    assert result["has_answer_f1"] == result["has_answer_exact_match"] == 0.5
    assert result["no_answer_f1"] == result["no_answer_exact_match"] == 0.5
    assert (result["best_f1"], result["report"]["best_f1_threshold"]) == (0.75, -1.0)
    assert result["collapsed"] is False
    plain = SpanQA(config()).score(examples[:2], scores[:2])
    assert plain["f1"] == 1.0
    assert "best_f1" not in plain


@pytest.mark.parametrize(
    ("text", "scoring", "expected"),
    [("the", "squad", 1), (".", "squad", 1), ("t", "squad", 0), (".", "cmrc", 0)],
)
def test_what_normalisation_leaves_nothing_of_is_no_answer(text, scoring, expected):
    """As evaluate-v2.0.py scores it; its search for a threshold asks whether there is a text."""
    example = Example("f:1", "0", ("?", "stuvwx"), ())
    said = scores_of(null=-3.0, s=0.5)
    said["candidates"][0]["text"] = text
    result = SpanQA(config(no_answer=True, scoring=scoring)).score([example], [said])
    assert result["f1"] == result["exact_match"] == result["no_answer_f1"] == expected
    assert (result["best_f1"], result["report"]["best_f1_threshold"]) == (1, -4.5)


def test_predictions_are_json(tiny):
    (prediction,) = SpanQA(config()).predict(labelled(1, True), [scores_of(s=1.0, t=0.0)])
    assert json.loads(json.dumps(prediction)) == prediction
    assert prediction["prediction"] == "s"
    assert [c["text"] for c in prediction["n_best"]] == ["s", "t"]
    assert "no_answer_score" not in prediction


def test_an_ensemble_answers_by_vote():
    task = SpanQA(config())
    many = [[scores_of(s=2.0, t=1.0)], [scores_of(t=3.0)], [scores_of(s=0.1, t=0.0)]]
    (combined,) = task.combine(many, [1.0, 1.0, 1.0])
    assert task.predict(labelled(1, True), [combined])[0]["prediction"] == "t"
