"""What only the data can tell of a config, and what the model is told of the task."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from bertjax.config import FinetuneConfig, ModelConfig
from bertjax.errors import UserError
from bertjax.finetuning.splits import Splits
from bertjax.model.task import TagRules, TaskShape
from bertjax.model.tuning.choice import method_of as choose_method
from bertjax.model.tuning.method import Method
from bertjax.tasks.tag_schemes import allowed_transitions


def adopt_encoder(cfg: FinetuneConfig, source: ModelConfig) -> dict[str, Any]:
    """The sections of a recipe, by name, for the encoder started from; dropout is the recipe's.

    Rows longer than the encoder has positions are shortened to that, and so are the steps of
    windows: a recipe is written for BERT-base's 512, and small encoders are often made for less.
    """
    longest = min(cfg.data.max_length, source.max_positions)
    step = min(cfg.data.window_step, longest)
    room = longest - (cfg.task.max_query + 3 if cfg.task.family == "span_qa" else 0)
    if step > room > 1:
        step = room // 2  # neighbours share half of what they hold
    data = replace(cfg.data, max_length=longest, window_step=step)
    return {"model": source.with_dropout_of(cfg.model), "data": data}


def settle(cfg: FinetuneConfig, splits: Splits) -> FinetuneConfig:
    """`cfg` with what the training examples say: labels, weights of balanced classes, and how the
    files spell IOBES.

    A class weighs n / (classes · its examples), so that all weigh the same together (King and
    Zeng 2001; scikit-learn's "balanced").
    """
    task = replace(cfg.task, labels=splits.labels)
    if task.family == "tagging" and task.scheme == "IOBES":
        task = replace(task, scheme=splits.train[0].declared[0])
    if task.balanced:
        if task.family != "classification":
            raise UserError(
                f"task.balanced=true with task.family={task.family}: only classification weighs "
                "classes by their frequency; give task.class_weights, or leave it out"
            )
        counts = Counter(example.label for example in splits.train)
        total = len(splits.train)
        weights = tuple(total / (len(task.labels) * max(1, counts[c])) for c in task.labels)
        task = replace(task, balanced=False, class_weights=weights)
    return replace(cfg, task=task)


def method_of(cfg: FinetuneConfig) -> Method | None:
    """How few weights are tuned; None where the encoder itself moves."""
    return choose_method(cfg.tune.method, cfg.lora, cfg.adapter)


def task_shape(cfg: FinetuneConfig) -> TaskShape:
    """What model and loss have to know of the task of a settled config."""
    task = cfg.task
    classes = {
        "regression": 1,
        "span_qa": 2,
        "multiple_choice": len(cfg.data.choices),
    }.get(task.family, len(task.labels))
    rules = None
    if cfg.head.crf:
        start, transition, end = allowed_transitions(task.labels, task.learnt_scheme)
        rows = tuple(tuple(row) for row in transition.tolist())
        rules = TagRules(tuple(start.tolist()), rows, tuple(end.tolist()))
    return TaskShape(task.family, classes, task.class_weights, rules)


def training_shape(cfg: FinetuneConfig) -> TaskShape:
    """`task_shape`, with what a step of training needs beside: the states of `transfer.layer`."""
    shape, transfer = task_shape(cfg), cfg.transfer
    if not transfer.aligned:
        return shape
    layer = cfg.model.num_layers if transfer.layer == -1 else transfer.layer
    width = transfer.width if transfer.method == "dann" else 0
    return replace(shape, features=layer, discriminator=width)
