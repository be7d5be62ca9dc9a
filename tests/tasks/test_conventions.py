"""Every metric of every family has its convention, and the named library gives the number."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score

from bertjax.config import ExamplesConfig, FinetuneConfig, TaskConfig
from bertjax.config.finetune import TASK_FAMILIES
from bertjax.errors import UserError
from bertjax.finetuning.member import metric_values
from bertjax.tasks.conventions import conventions, table_convention
from bertjax.tasks.families import task_of
from bertjax.tasks.tagging import WordScores
from bertjax.tasks.task import Example

# Of each family, two labels of examples and what a model that knows them says.
SAID = {
    "classification": {"a": [0.9, 0.1], "b": [0.2, 0.8]},
    "multi_label": {("a",): [0.9, 0.1], ("a", "b"): [0.9, 0.8]},
    "regression": {1.0: [1.1], 2.0: [1.9]},
    "tagging": {
        ("O", "B-x"): WordScores(np.eye(3)[[0, 1]], None),
        ("B-x", "I-x"): WordScores(np.eye(3)[[1, 2]], None),
    },
    "span_qa": {
        ((0, "b"),): {"candidates": [{"text": "b", "logit": 1.0}], "null": 0.0},
        (): {"candidates": [{"text": "b", "logit": 1.0}], "null": 2.0},
    },
    "multiple_choice": {0: [0.9, 0.1], 1: [0.2, 0.8]},
}


@pytest.mark.parametrize("family", TASK_FAMILIES)
@pytest.mark.parametrize("scoring", ["squad", "cmrc"])
@pytest.mark.parametrize("scheme", ["none", "IOB2", "IOBES"])
def test_every_number_has_one(family, scoring, scheme):
    labels = ("O", "B-x", "I-x") if family == "tagging" else ("a", "b")
    labels = () if family in ("regression", "span_qa", "multiple_choice") else labels
    task = TaskConfig(
        family=family,
        labels=labels,
        scoring=scoring,
        scheme=scheme if family == "tagging" else "none",
        no_answer=family == "span_qa",
    )
    data = ExamplesConfig(choices=("x", "y") if family == "multiple_choice" else ())
    judge = task_of(FinetuneConfig(task=task, data=data), labels)
    assert tuple(conventions(task, judge.metrics)) == judge.metrics
    examples = [Example("x:1", "0", ("t", "b"), label) for label in SAID[family]]
    found = judge.score(examples, list(SAID[family].values()))
    numbers = metric_values(found)
    assert set(judge.metrics) <= numbers.keys()
    assert all(conventions(task, numbers).values())
    tables = {"classes", "entities"} & (found.get("report") or {}).keys()
    assert bool(tables) == bool(table_convention(found.get("report") or ()))


def test_a_word_that_was_cut_off_is_outside_where_there_is_that_tag():
    """A model says it of such words (`Tagging.merge`), so it is right where no entity is."""
    plain = TaskConfig(family="tagging", labels=("NOUN", "VERB"))
    entities = TaskConfig(family="tagging", labels=("O", "B-x", "I-x"), scheme="IOB2")
    assert conventions(plain, ["accuracy"])["accuracy"].endswith("cut off, counts as wrong")
    assert conventions(entities, ["accuracy"])["accuracy"].endswith("cut off, counts as O")


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1), st.sampled_from(["", *"ab"]))
def test_f1_is_of_the_class_that_its_convention_names(drawn, positive):
    truth, predicted = (np.array(side, int) for side in zip(*drawn, strict=True))
    task = TaskConfig(labels=("a", "b"), positive=positive)
    judge = task_of(FinetuneConfig(task=task), task.labels)
    examples = [Example("x:1", "0", ("t",), "ab"[i]) for i in truth]
    found = judge.score(examples, list(np.eye(2)[predicted]))
    assert conventions(task, ["f1"])["f1"].startswith(f"of '{positive or 'b'}': ")
    theirs = f1_score(truth, predicted, pos_label="ab".index(positive or "b"), zero_division=0)
    assert found["f1"] == pytest.approx(theirs, abs=1e-12)
    assert "micro_f1" not in found  # it would be the accuracy


def test_a_positive_class_that_is_none_is_refused():
    with pytest.raises(UserError, match=r"'good' is not one of task\.labels: did you mean 'goods'"):
        TaskConfig(labels=("goods", "no"), positive="good")
    for wrong in ({"labels": ("a", "b", "c")}, {"family": "tagging"}):
        with pytest.raises(UserError, match="only one of two classes has an F1"):
            TaskConfig(positive="a", **wrong)


@given(
    st.integers(2, 4).flatmap(lambda n: st.lists(st.tuples(*[st.booleans()] * (2 * n)), min_size=1))
)
def test_sets_of_labels_score_as_indicator_matrices_do(drawn):
    size = len(drawn[0]) // 2
    truth, predicted = np.array(drawn)[:, :size], np.array(drawn)[:, size:]
    labels = tuple("abcd"[:size])
    task = task_of(FinetuneConfig(task=TaskConfig(family="multi_label")), labels)
    examples = [
        Example("x:1", "0", ("t",), tuple(n for n, on in zip(labels, row, strict=True) if on))
        for row in truth
    ]
    found = task.score(examples, list(predicted.astype(float)))
    for name, average in (("macro_f1", "macro"), ("micro_f1", "micro")):
        theirs = f1_score(truth, predicted, average=average, zero_division=0)
        assert found[name] == pytest.approx(theirs, abs=1e-12)
    assert found["exact_match"] == pytest.approx(accuracy_score(truth, predicted))
