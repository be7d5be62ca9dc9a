"""Rows that cut entities: what a CRF is told of them is possible, and is counted path by path."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bertjax.config import ExamplesConfig, FinetuneConfig, HeadConfig, TaskConfig
from bertjax.finetuning.batches import evaluation_plan, make_batch
from bertjax.finetuning.layout import Form
from bertjax.finetuning.settle import task_shape
from bertjax.model.crf import CRF
from bertjax.objectives import task_losses
from bertjax.tasks.tag_schemes import LETTERS, all_tags, may_follow, problem, spans, tags_of
from bertjax.tasks.tagging import Tagging
from bertjax.tasks.task import Example
from bertjax.text.tokenizer import load_tokenizer

WORDS = ("new", "yorker")  # of one piece and of two
PIECES = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "new", "york", "##er")
LENGTH, ROWS = 8, 20  # tokens in a row, of which six are words'; rows in the batch that is scored
CUTS = [
    *({"truncation": how} for how in ("head", "tail", "middle")),
    *({"window_step": step} for step in (1, 3, 6)),
]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    path = tmp_path_factory.mktemp("cut") / "vocab.txt"
    path.write_text("\n".join(PIECES) + "\n")
    return load_tokenizer(path)


def config(scheme: str, crf: bool = True, **data) -> FinetuneConfig:
    labels = all_tags(["X", "Y"], scheme)
    return FinetuneConfig(
        task=TaskConfig(family="tagging", scheme=scheme, labels=labels),
        data=ExamplesConfig(max_length=LENGTH, **data),
        head=HeadConfig(crf=crf),
    )


@st.composite
def sentences(draw, scheme: str) -> Example:
    """Up to twenty words of entities and of what lies between them, as the scheme writes them."""
    runs = draw(
        st.lists(st.tuples(st.sampled_from("OXY"), st.integers(1, 4)), min_size=1, max_size=5)
    )
    found, length = [], 0
    for kind, size in runs:
        if kind != "O":
            found.append((length, length + size, kind))
        length += size
    words = draw(st.lists(st.sampled_from(WORDS), min_size=length, max_size=length))
    return Example("x:1", "0", tuple(words), tuple(tags_of(found, length, scheme)))


@cache
def paths(scheme: str, length: int) -> np.ndarray:
    """Every sequence of tags that the scheme allows as a sentence, int [P, length]."""
    labels = all_tags(["X", "Y"], scheme)
    found: list[list[str]] = [[]]
    for _ in range(length):
        found = [
            [*path, tag]
            for path in found
            for tag in labels
            if may_follow(path[-1] if path else None, tag, scheme)
        ]
    ids = {tag: i for i, tag in enumerate(labels)}
    return np.array([[ids[t] for t in path] for path in found if problem(path, scheme) is None])


@cache
def compiled(scheme: str):
    """The loss of a batch for logits and potentials of zero, to which all paths are alike."""
    shape = task_shape(config(scheme))
    logits = np.zeros((ROWS, LENGTH, shape.classes), np.float32)

    def loss(batch):
        outputs = {"logits": logits, "crf": CRF(shape.classes, shape.tag_rules)()}
        return task_losses.loss(shape, outputs, batch)

    return jax.jit(loss, compiler_options={"xla_backend_optimization_level": 0})


@pytest.mark.parametrize("scheme", LETTERS)
@settings(max_examples=50)
@given(data=st.data())
def test_what_a_row_is_told_is_possible_and_its_loss_is_that_of_counted_paths(
    tokenizer, scheme, data
):
    cfg = config(scheme, **data.draw(st.sampled_from(CUTS)))
    example = data.draw(sentences(scheme))
    rows = Tagging(cfg, cfg.task.labels).encode([example], tokenizer)
    gold = [cfg.task.labels.index(tag) for tag in example.label]
    expected = 0.0
    for tags, (words, _) in zip(rows.ragged["tags"], rows.details, strict=True):
        told = tags >= 0
        assert tags[told].tolist() == [gold[w] for w, t in zip(words, told, strict=True) if t]
        possible = paths(scheme, len(words))
        agreeing = np.all((possible == tags) | ~told, axis=1).sum()
        assert agreeing > 0
        expected += np.log(len(possible) / agreeing) if told.any() else 0.0
        if len(words) == len(gold):
            assert told.all()
        for word in words[~told]:  # nothing but words of entities that the row cuts
            ((start, end),) = [(a, b) for a, b, _ in spans(example.label) if a <= word < b]
            alone = scheme == "IOB1" and start - 1 not in words
            assert alone or not set(range(start, end)) <= set(words.tolist())
    (plan,) = evaluation_plan(rows, [Form(ROWS, LENGTH, LENGTH)], ROWS)
    total, weight = compiled(scheme)(make_batch(rows, plan, ROWS, pad=0))
    assert float(weight) == sum((tags >= 0).sum() for tags in rows.ragged["tags"])
    assert float(total) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(
    ("scheme", "cut", "tags", "told"),
    [
        ("IOB2", {"truncation": "tail"}, "O B-X I-X I-X O B-Y O O", "? ? O B-Y O O"),
        ("IOB2", {"truncation": "head"}, "O O O O B-X I-X I-X", "O O O O B-X I-X"),
        ("IOBES", {"truncation": "head"}, "S-Y O O O B-X I-X E-X", "S-Y O O O ? ?"),
        ("IOBES", {"truncation": "middle"}, "B-X E-X O O O B-Y E-Y", "? O O O B-Y E-Y"),
        ("IOB1", {"truncation": "tail"}, "I-X B-X I-X O O O I-Y", "? ? O O O I-Y"),
        ("IOB1", {"truncation": "tail"}, "I-X I-X B-X O O O I-Y", "I-X B-X O O O I-Y"),
        ("IO", {"truncation": "tail"}, "I-X I-X I-X O O O I-Y", "I-X I-X O O O I-Y"),
    ],
)
def test_which_words_are_not_told(tokenizer, scheme, cut, tags, told):
    example = Example("x:1", "0", ("new",) * len(tags.split()), tuple(tags.split()))
    cfg = config(scheme, **cut)
    (found,) = Tagging(cfg, cfg.task.labels).encode([example], tokenizer).ragged["tags"]
    assert " ".join("?" if i < 0 else cfg.task.labels[i] for i in found) == told
    # Without a CRF words are told apart by themselves, and every tag is true of its word.
    (whole,) = (
        Tagging(replace(cfg, head=HeadConfig()), cfg.task.labels)
        .encode([example], tokenizer)
        .ragged["tags"]
    )
    assert (whole >= 0).all() and (found[found >= 0] == whole[found >= 0]).all()


@pytest.mark.parametrize("scheme", LETTERS)
@settings(max_examples=40)
@given(data=st.data())
def test_every_word_is_scored_and_every_path_is_one_of_the_scheme(tokenizer, scheme, data):
    """Whatever rows say, each of them within the rules; windows that are right are merged right."""
    cfg = config(scheme, **data.draw(st.sampled_from(CUTS)))
    example = data.draw(sentences(scheme))
    task = Tagging(cfg, cfg.task.labels)
    rows = task.encode([example], tokenizer)
    draw = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    outputs = []
    for words, _ in rows.details:
        possible = paths(scheme, len(words))
        path = possible[draw.integers(len(possible))]
        said = 0.9 * np.eye(len(task.labels))[path] + 0.1 / len(task.labels)
        outputs.append({"probabilities": said, "path": path})
    (scores,) = task.merge(rows, outputs)
    (prediction,) = task.predict([example], [scores])
    assert len(prediction["prediction"]) == len(example.texts)
    assert problem(prediction["prediction"], scheme) is None
    gold = np.array([task.labels.index(tag) for tag in example.label])
    right = [
        {"probabilities": np.eye(len(task.labels))[gold[words]], "path": gold[words]}
        for words, _ in rows.details
    ]
    score = task.score([example], task.merge(rows, right))
    kept = np.concatenate([words for words, _ in rows.details])
    whole = np.where(np.isin(np.arange(len(gold)), kept), gold, 0)  # what is cut off is outside
    if problem([task.labels[i] for i in whole], scheme) is None:
        assert score["accuracy"] == pytest.approx((whole == gold).mean())
