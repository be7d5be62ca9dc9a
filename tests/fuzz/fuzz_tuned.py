"""Targets: fine-tuned runs, lessons of teachers, fusions."""

from __future__ import annotations

import functools
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import tiny_task
from fuzz_configs import FINETUNE
from fuzz_folders import Files, Read, as_json, describe, fill, targets_of
from fuzz_target import Target

from bertjax.finetuning import results, rounds
from bertjax.finetuning.lessons import Lesson, taught
from bertjax.finetuning.material import Material
from bertjax.finetuning.member import Member, read_result
from bertjax.finetuning.same_run import origin_of
from bertjax.finetuning.saved import open_saved
from bertjax.finetuning.settle import settle, task_shape
from bertjax.finetuning.splits import open_splits
from bertjax.finetuning.stored import noted_places
from bertjax.fuse import stored as fusions
from bertjax.overrides import to_json
from bertjax.runs.directory import RunDirectory

# Runs.


@functools.cache
def _tuned() -> dict[str, bytes]:
    measured = {
        "fold": None, "best_epoch": 1, "epochs": 2, "steps": 4, "tokens": 100,
        "dev": {"accuracy": 0.5}, "seconds_per_epoch": 1.0,
        "history": [{"epoch": 1, "train_loss": 1.0, "dev_loss": None, "accuracy": 0.5}],
    }  # fmt: skip
    accuracy = {"mean": 0.5, "sd": None, "best": 0.5, "values": [0.5], "convention": "x"}
    content = {
        "task": "task", "family": "classification", "metric": "accuracy",
        "convention": {"selection": "best", "start": "a model", "start_task": None},
        "method": "full", "weights": {"encoder": 1, "head": 1, "kept": 0},
        "models": [{"name": "seed-0", "seed": 0, **measured}],
        "splits": {"dev": {"examples": 2, "models": {"accuracy": accuracy}, "ensemble": None}},
        "cut": {"train": {"tokens": 0, "examples": 0, "of": 2}},
    }  # fmt: skip
    vocabulary = "\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b"])
    return {
        "config.json": to_json(FINETUNE).encode(),
        "results.json": as_json(content),
        "tokenizer/vocab.txt": vocabulary.encode(),
        "origin.json": as_json({"train examples": "ab", "source": "a model", "task": ""}),
        "base.json": as_json({"fingerprint": "ab", "path": "/nowhere", "from_here": "../base"}),
        "seed-0/best/x": b"",
        "seed-0/result.json": as_json({"seed": 0, **measured}),
    }


def _describe_tuned(folder: Path) -> None:
    describe(folder)
    saved = open_saved(folder)
    saved.null_threshold(saved.members)
    _ = saved.task, saved.best, task_shape(saved.cfg)
    results.table(saved.results) if "collapsed" in str(saved.results) else None


def _result(folder: Path) -> None:
    found = read_result(Member(0, None, folder))
    if found is not None:
        _ = found["dev"], found["history"], found["seconds_per_epoch"]


def tuned_targets() -> Iterator[Target]:
    """The files of a run of `finetune`."""
    readers: dict[str, Read] = {
        "config.json": _describe_tuned,
        "results.json": _describe_tuned,
        "origin.json": lambda f: origin_of(RunDirectory(f)).get("train examples"),
        "base.json": lambda f: list(noted_places(f)),
        "seed-0/result.json": _result,
    }
    yield from targets_of("tuned", _tuned, readers)


# Lessons.


def _lesson() -> dict[str, bytes]:
    about = {
        "of": 6, "taken": 2, "labelled": 8, "labelled_weight": 1.0, "pseudo_weight": 0.5,
        "classes": {"good": {"said": 3, "taken": 2, "confidence": 0.9}}, "mass_ratio": 0.125,
        "class_weights": {"good": 1.0, "bad": 1.5}, "target_shares": {"good": 0.5, "bad": 0.5},
    }  # fmt: skip
    rows = [
        {"row": row, "id": str(row), "label": "good", "confidence": 0.9, "weight": 0.5}
        for row in (0, 5)
    ]
    lines = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    return {"lesson.json": as_json(about), "pseudo_labels.jsonl": lines}


@functools.cache
def _material() -> Material:
    """What a run has whose teachers label six texts."""
    with tempfile.TemporaryDirectory() as above:
        train, dev, more = (
            tiny_task.write_table(Path(above) / f"{seed}.tsv", 6, seed) for seed in range(3)
        )
        texts = Path(above) / "more.txt"
        lines = more.read_text().splitlines()[1:]
        texts.write_text("".join(line.partition("\t")[0] + "\n" for line in lines))
        cfg = tiny_task.config(
            train, dev, data={"unlabelled": str(texts)}, transfer={"method": "self_training"}
        )
        splits = open_splits(cfg)
        return Material(settle(cfg, splits), splits, tiny_task.tokenizer(), 1)


def _go_on(folder: Path) -> None:
    """As a run does that is resumed after its teacher has spoken."""
    material = _material()
    lesson = Lesson.read(folder, material)
    if lesson is not None and lesson.lines:
        rounds._described(Member(0, None, folder), lesson, "")
        rounds._nothing_new(lesson, lesson, True)
        taught(material, material.encoded["train"], lesson)


def lesson_targets() -> Iterator[Target]:
    """What a teacher has to teach, in both of its files."""
    yield from targets_of("tuned", _lesson, dict.fromkeys(_lesson(), _go_on))


# Fusions.

_LEARNED = {
    "average": {"weights": [0.5, 0.5]}, "weighted": {"weights": [0.25, 0.75]}, "vote": {"votes": 1},
    "stack": {
        "mean": [0.0, 1.0], "scale": [1.0, 1.0], "weights": [[1.0, 2.0], [0.0, 1.0]],
        "bias": [0.0, None],
    },
}  # fmt: skip


def _fused() -> list[bytes]:
    """A config.json of each way."""
    voices = [
        {"name": name, "run": "/nowhere", "from_here": "run",
         "models": [{"name": "seed-0", "fingerprint": "ab"}]}
        for name in ("a", "b")
    ]  # fmt: skip
    about = {"learned_on": "dev", "null_threshold": 0.0}
    return [
        as_json({"fusion": about | {"method": method, "learned": learned}, "voices": voices})
        for method, learned in _LEARNED.items()
    ]


def _describe_fusion(folder: Path) -> None:
    describe(folder)
    about = fusions.read(folder)["fusion"]
    fusions.way_from(about["method"], about["learned"])
    fusions.open_fusion(folder)  # up to its models, which have no weights


def fusion_targets() -> Iterator[Target]:
    """The file of a fusion, beside a run that it is of."""
    beside: Files = lambda: {f"run/{name}": data for name, data in _tuned().items()}  # noqa: E731
    yield Target(
        "fusion/config.json", "config.json", _describe_fusion, _fused,
        lambda folder: fill(beside, folder),
    )  # fmt: skip
