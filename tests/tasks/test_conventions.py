"""Every metric of every family has its convention, and the named library gives the number."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score

from bertjax.config import ExamplesConfig, FinetuneConfig, TaskConfig
from bertjax.config.finetune import TASK_FAMILIES
from bertjax.tasks.conventions import conventions
from bertjax.tasks.families import task_of
from bertjax.tasks.task import Example


@pytest.mark.parametrize("family", TASK_FAMILIES)
@pytest.mark.parametrize("scoring", ["squad", "cmrc"])
@pytest.mark.parametrize("scheme", ["none", "IOB2"])
def test_every_metric_has_one(family, scoring, scheme):
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
    metrics = task_of(FinetuneConfig(task=task, data=data), labels).metrics
    said = conventions(task, metrics)
    assert tuple(said) == metrics and all(said.values())
    if family == "classification":
        assert said["f1"] == "scikit-learn f1_score with pos_label='b'"


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
