"""Heads and configs of tasks that make no sense, and what a card says of one that does."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jax.numpy as jnp
import pytest
import transformers
from tiny_heads import (
    CLASSES,
    ENCODERS,
    HEAD,
    LABELS,
    SHAPES,
    encoder,
    export,
    head_of,
    random_params,
)

from bertjax import huggingface
from bertjax.errors import UserError
from bertjax.huggingface.config_json import obstacle_to_export
from bertjax.huggingface.names import architecture_of


@pytest.mark.parametrize(
    ("kind", "family", "word"),
    [
        ("electra", "multiple_choice", {"summary_type": "mean"}),
        ("roformer", "multiple_choice", {"summary_type": "last"}),
        ("roformer", "multiple_choice", {"summary_use_proj": None}),
    ],
)
def test_a_head_that_looks_elsewhere_is_refused(kind, family, word, tmp_path) -> None:
    (shape, labels), cfg = SHAPES[family], encoder(kind)
    params = random_params(cfg, HEAD, shape)
    out = export(cfg, HEAD, shape, labels, params, tmp_path / "hf")
    content = json.loads((out / "config.json").read_text()) | word
    (out / "config.json").write_text(json.dumps(content))
    ((name, value),) = word.items()
    with pytest.raises(UserError, match=f"{name}={value!r}: of .* only {name}="):
        huggingface.import_task_model(out)


@pytest.mark.parametrize("kind", sorted(ENCODERS))
def test_no_token_types_are_refused_where_the_class_adds_a_row_of_them(kind) -> None:
    cfg = encoder(kind, type_vocab_size=0)
    theirs = getattr(transformers, f"{architecture_of(cfg).system.class_prefix}Config")()
    head, message = head_of(kind), ""
    if hasattr(theirs, "type_vocab_size"):
        message = "model.type_vocab_size=0: .* adds a row of that table to every token"
    for said in (obstacle_to_export(cfg), obstacle_to_export(cfg, head, "classification")):
        assert re.match(message or "$", said), said


@pytest.mark.parametrize("field", ["embedding_size", "layer_groups"])
def test_what_an_albert_is_made_of_must_be_there(field) -> None:
    cfg = encoder("albert", **{field: 0})
    assert re.match(
        f"model.{field}=0: Albert.* on Hugging Face .*: train with", obstacle_to_export(cfg)
    )


BROKEN = {
    "no task": ({"architectures": ["BertForMaskedLM"]}, "BertForMaskedLM"),
    "no class": ({"architectures": None}, "architectures=None"),
    "wrong class": ({"architectures": [["x"]]}, "architectures="),
    "a gap": ({"id2label": {"0": "a", "2": "b"}}, "id2label"),
    "no names": ({"id2label": ["a", "b", "c"]}, "id2label"),
    "twice": ({"id2label": {"0": "a", "1": "a", "2": "b"}}, "id2label"),
    "no string": ({"id2label": {"0": "a", "1": None, "2": "b"}}, "id2label"),
    "problem": ({"problem_type": "guessing"}, "problem_type='guessing'"),
    "values": ({"problem_type": "regression"}, "one value"),
    "dropout": ({"classifier_dropout": 7.0}, "head.dropout=7.0"),
    "dropout kind": ({"classifier_dropout": "much"}, "classifier_dropout='much'"),
    "labels": ({"id2label": {"0": "a", "1": "b"}}, "classifier.weight has shape"),
    "other head": ({"architectures": ["BertForQuestionAnswering"]}, "qa_outputs.weight"),
}


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Path:
    cfg, scratch = encoder("bert"), tmp_path_factory.mktemp("task")
    params = random_params(cfg, HEAD, CLASSES)
    return export(cfg, HEAD, CLASSES, LABELS, params, scratch / "hf")


@pytest.mark.parametrize("case", BROKEN)
def test_config_that_makes_no_sense_is_refused_in_one_line(case, exported, tmp_path) -> None:
    fields, said = BROKEN[case]
    for file in exported.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    content = json.loads((exported / "config.json").read_text()) | fields
    (tmp_path / "config.json").write_text(json.dumps(content))
    with pytest.raises(UserError) as refused:
        huggingface.import_task_model(tmp_path)
    assert said in str(refused.value) and "\n" not in str(refused.value)
    assert str(tmp_path) in str(refused.value)


def test_labels_must_be_as_many_as_classes(tmp_path) -> None:
    cfg = encoder("bert")
    with pytest.raises(UserError, match="2 labels for 3 classes"):
        export(cfg, HEAD, CLASSES, LABELS[:2], random_params(cfg, HEAD, CLASSES), tmp_path / "hf")
    broken = random_params(cfg, HEAD, CLASSES)
    broken["head"]["classifier"]["bias"][1] = jnp.nan
    with pytest.raises(UserError, match="head/classifier/bias has NaN"):
        export(cfg, HEAD, CLASSES, LABELS, broken, tmp_path / "hf")


def test_card_says_what_the_model_is_for(exported) -> None:
    card = (exported / "README.md").read_text(encoding="utf-8")
    assert 'pipeline_tag: "text-classification"' in card
    assert 'pipeline("text-classification", model="tiny")' in card
    assert "BertForSequenceClassification" in card
