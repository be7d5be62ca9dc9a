"""A tagger's words get the same tags in transformers' pipeline, from the text or word by word."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import oracle_transformers as oracle
import pytest
import tokenizer_kinds as kinds
import transformers
from test_task_heads import random_params

from bertjax import huggingface
from bertjax.config import ExamplesConfig, FinetuneConfig, HeadConfig, TaskConfig
from bertjax.finetuning.batches import evaluation_plan, make_batch
from bertjax.finetuning.layout import Form
from bertjax.model.task import TaskShape, apply_task
from bertjax.objectives.task_losses import probabilities
from bertjax.tasks.tagging import Tagging
from bertjax.tasks.task import Example
from bertjax.text.tokenizer import load_tokenizer

SHAPE = TaskShape("tagging", 4)
LABELS = ("O", "A", "B", "C")
MARKS = ("Ġ", "▁")  # the space before a word, where it is a piece by itself
SENTENCES = [
    "The old river opened the quiet city near the school .",
    "Zebras quote 19 readers ' books , 3.14 metres ; \u4e2d \u6587 caf\u00e9 !",
    "house",
]


@oracle.jit_for_config
def said_of(cfg, params, batch):
    return probabilities(SHAPE, apply_task(cfg, HeadConfig(), SHAPE, params, batch), batch)


@pytest.mark.parametrize("kind", ["bert", "unigram", "roberta", "modern", "xlm-roberta"])
def test_words_get_the_tags_of_the_pipeline(kind: str, tmp_path: Path) -> None:
    assert_same_tags(kind, SENTENCES, 64, tmp_path)


@pytest.mark.parametrize("kind", ["roberta", "roberta with prefix", "modern", "xlm-roberta"])
def test_words_of_real_rows_get_the_tags_of_the_pipeline(kind, shared_data, tmp_path) -> None:
    """Tweets of WNUT-17: names, hashtags, emoji, whatever stands between spaces."""
    text = (shared_data / "wnut17" / "dev.conll").read_text(encoding="utf-8")
    words = [[line.split("\t")[0] for line in block.split("\n")] for block in text.split("\n\n")]
    sentences = [" ".join(filter(None, each)) for each in words if sum(map(len, each)) < 60]
    assert_same_tags(kind, sentences[:200], 128, tmp_path)


def assert_same_tags(kind: str, sentences: list[str], length: int, tmp_path: Path) -> None:
    """Tags of every word by a random model, here and by the pipeline, both ways it is asked."""
    kinds.KINDS[kind](tmp_path / "brought")
    tokenizer = load_tokenizer(tmp_path / "brought").for_words()
    cfg = oracle.random_config(
        3, vocab_size=tokenizer.vocab_size, num_layers=1, max_positions=length,
        hidden_size=32, num_heads=2,
        next_sentence_head=False, family="bert" if tokenizer.framing.second_type else "roberta",
        position_offset=0 if tokenizer.framing.second_type else tokenizer.special.pad + 1,
    )  # fmt: skip
    params = random_params(cfg, HeadConfig(), SHAPE)
    report = huggingface.export_task_model(
        cfg, HeadConfig(), SHAPE, LABELS, params, tokenizer, tmp_path / "hf", oracle.CARD,
        oracle.LINES,
    )  # fmt: skip
    columns = ExamplesConfig(max_length=length)
    task = Tagging(
        FinetuneConfig(task=TaskConfig(family="tagging", scheme="none"), data=columns), LABELS
    )
    examples = [Example("f", str(i), tuple(s.split())) for i, s in enumerate(sentences)]
    rows = task.encode(examples, tokenizer)
    (plan,) = evaluation_plan(rows, [Form(len(examples), length, length)], len(examples))
    batch = make_batch(rows, plan, len(examples), tokenizer.special.pad)
    found = np.asarray(said_of(cfg, params, batch)["probabilities"])
    order = np.argsort(plan.groups)
    sizes = [len(words) for words in rows.ragged["word_positions"]]
    outputs = [{"probabilities": found[i][:n]} for i, n in zip(order, sizes, strict=True)]
    ours = [p["prediction"] for p in task.predict(examples, task.merge(rows, outputs))]
    assert len({tag for tags in ours for tag in tags}) > 1  # else agreement would say little

    tag = transformers.pipeline("token-classification", model=str(report.path), ignore_labels=[])
    for given in (sentences, [s.split() for s in sentences]):
        split = {"is_split_into_words": True} if given is not sentences else {}
        for text, expected, pieces in zip(sentences, ours, tag(given, **split), strict=True):
            at, theirs = 0, []
            for word in text.split():  # the first piece of its first letter speaks for a word
                at = text.index(word, at)
                here = (p for p in pieces if p["start"] <= at < p["end"])
                theirs.append(next(p["entity"] for p in here if p["word"] not in MARKS))
                at += len(word)
            assert theirs == expected
