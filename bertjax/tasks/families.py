"""The family a config names: the one place where a family is chosen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from bertjax.config import FinetuneConfig
from bertjax.errors import UserError
from bertjax.tasks import (
    classification,
    multi_label,
    multiple_choice,
    regression,
    span_qa,
    squad_file,
    tagged_examples,
    tagging,
)
from bertjax.tasks.label_values import key_of
from bertjax.tasks.labels import by_key, check_varied, not_learnt
from bertjax.tasks.tables import row_account
from bertjax.tasks.task import Example, Scores, Task
from bertjax.text.account import Account, Problem

_READERS = {
    "classification": classification.read,
    "multi_label": multi_label.read,
    "regression": regression.read,
    "tagging": tagged_examples.read,
    "span_qa": squad_file.read,
    "multiple_choice": multiple_choice.read,
}
_TASKS: dict[str, Callable[[FinetuneConfig, tuple[str, ...]], Task]] = {
    "classification": classification.Classification,
    "multi_label": multi_label.MultiLabel,
    "regression": regression.Regression,
    "tagging": tagging.Tagging,
    "multiple_choice": multiple_choice.MultipleChoice,
}
_LABELS = {
    "classification": classification.label_names,
    "multi_label": multi_label.label_names,
    "regression": regression.label_names,
}


def read_examples(
    path: str, cfg: FinetuneConfig, *, labelled: bool = True, account: Account | None = None
) -> tuple[list[Example], int]:
    """The examples of a file, and how many of its rows were left out as bad.

    What was read and left out, by kind, and what looks wrong goes to `account`.

    Raises:
        UserError: the file, or a row that may not be left out, cannot be read.
    """
    account = account or row_account(cfg.data)
    examples, skipped = _READERS[cfg.task.family](path, cfg, labelled, account)
    if not examples:
        raise UserError(f"{path}: no examples in it ({skipped} bad rows left out): check the file")
    ids = Counter(example.id for example in examples)
    if len(ids) < len(examples):
        account.note(
            f"{len(examples) - len(ids):,} of {len(examples):,} examples have the id of another "
            f"one, such as {ids.most_common(1)[0][0]!r}, so that ids do not tell predictions apart"
        )
    return examples, skipped


def label_names(cfg: FinetuneConfig, examples: Sequence[Example]) -> tuple[str, ...]:
    """The labels in order of their ids: those of the config, else those of training examples.

    Raises:
        UserError: the examples leave nothing to learn, or lack a label that the config names.
    """
    named, family = cfg.task.labels, cfg.task.family
    if family == "multiple_choice":
        check_varied(examples, (example.label for example in examples))
    if family == "span_qa" and not any(example.label for example in examples):
        raise UserError(
            f"{examples[0].place}: none of the {len(examples)} questions has an answer, which "
            "leaves nothing to learn: check the file"
        )
    if family == "tagging":
        return tagging.label_names(examples, named, cfg.task.learnt_scheme)
    return _LABELS[family](examples, named) if family in _LABELS else ()


def learnt_examples(
    examples: Sequence[Example], labels: Sequence[str], account: Account
) -> list[Example]:
    """The examples whose labels the model has learnt, spelt as learnt; others go to `account`.

    Raises:
        UserError: there are others and they may not be left out, or there are only others.
    """
    kept, known = [], by_key(labels)

    def learnt(label: str) -> str:
        return label if label in labels else known.get(key_of(label), label)

    for example in examples:
        if not labels or isinstance(example.label, float | None):
            given: tuple[str, ...] = ()
        elif isinstance(example.label, str):
            example = replace(example, label=learnt(example.label))
            given = (example.label,)
        else:
            example = replace(example, label=tuple(map(learnt, example.label)))
            given = example.label
        strange = next((label for label in given if label not in labels), None)
        if strange is None:
            kept.append(example)
        elif not account.skip:
            raise UserError(f"{example.place}: {not_learnt(strange, labels)}")
        else:
            account.leave(example.place, Problem("another label", not_learnt(strange, labels)))
    if not kept:
        raise UserError(
            f"{examples[0].place}: none of the {len(examples)} examples has a label that was "
            f"learnt ({', '.join(labels[:8])}): check data.label"
        )
    return kept


def task_of(cfg: FinetuneConfig, labels: tuple[str, ...], null_threshold: float = 0.0) -> Task:
    """The family's object for a config and its labels.

    `null_threshold`: of span_qa, by how much no answer has to beat the best one.
    """
    if cfg.task.family == "span_qa":
        return span_qa.SpanQA(cfg, labels, null_threshold)
    return _TASKS[cfg.task.family](cfg, labels)


def tune_threshold(task: Task, examples: Sequence[Example], scores: Sequence[Scores]) -> float:
    """The `null_threshold` with the best F1 on labelled questions (SQuAD 2.0)."""
    assert isinstance(task, span_qa.SpanQA)
    return task.tune_threshold(examples, scores)
