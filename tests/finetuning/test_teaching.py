"""Runs whose models label rows for one another: what is taken in, resumed, refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest
from tiny_task import config, start
from tiny_teaching import material_of, settings

from bertjax.config import TransferConfig
from bertjax.errors import UserError
from bertjax.finetuning import lessons
from bertjax.finetuning.batches import make_batch, training_plan
from bertjax.finetuning.gradients import weighted_mean
from bertjax.finetuning.lessons import Lesson
from bertjax.finetuning.run import finetune
from bertjax.finetuning.same_run import start_of
from bertjax.finetuning.saved import open_saved
from bertjax.finetuning.settle import task_shape
from bertjax.finetuning.splits import open_splits
from bertjax.fuse.held_out import of_file
from bertjax.fuse.voices import voices_of
from bertjax.model.task import TaskShape
from bertjax.objectives import task_losses
from bertjax.tasks.families import read_examples
from bertjax.tree import flatten


def stop_after(steps: int):
    left = iter([None] * steps)
    return lambda: next(left, "SIGTERM")


def assert_same(ours: Path, theirs: Path):
    """Weights, lessons and results, but for the time they took."""
    a, b = (open_saved(path) for path in (ours, theirs))
    for one, other in zip(a.members, b.members, strict=True):
        x, y = (flatten(jax.device_get(run.parameters(m))) for run, m in ((a, one), (b, other)))
        assert all(x[name].tobytes() == y[name].tobytes() for name in x)
    for results in (a.results, b.results):
        for entry in results["models"]:
            entry.pop("seconds_per_epoch")
    assert a.results == b.results
    lines = [sorted(path.rglob("pseudo_labels.jsonl")) for path in (ours, theirs)]
    assert lines[0] and all(x.read_bytes() == y.read_bytes() for x, y in zip(*lines, strict=True))


@pytest.fixture(scope="module")
def unbroken(files, tmp_path_factory):
    path = tmp_path_factory.mktemp("unbroken") / "run"
    assert finetune(settings(files), path, start()).stopped is None
    return path


@pytest.mark.slow
def test_what_was_taken_in_is_written_down(unbroken, files):
    content = json.loads((unbroken / "results.json").read_text())
    (model,) = content["models"]
    assert content["transfer"] == "self_training"
    texts = (files / "more.txt").read_text().splitlines()
    for entry in model["rounds"][1:]:
        folder = unbroken / "seed-0" / f"round-{entry['round']}"
        lines = [json.loads(x) for x in (folder / "pseudo_labels.jsonl").read_text().splitlines()]
        assert len(lines) == entry["taken"] > 0 and entry["of"] == 96
        assert all(line["confidence"] >= 0.6 and line["weight"] == 1.0 for line in lines)
        assert [line["id"] for line in lines] == sorted({x["id"] for x in lines}, key=int)
        for label, about in entry["classes"].items():
            own = [line["confidence"] for line in lines if line["label"] == label]
            assert about["taken"] == len(own) <= about["said"]
            assert about["confidence"] == pytest.approx(np.mean(own) if own else None)
    right = [line["label"] in texts[line["row"]].split() for line in lines]
    assert np.mean(right) > 0.7  # its rows are known by number
    dev = [entry["dev"]["accuracy"] for entry in model["rounds"] if "dev" in entry]
    assert model["round"] == int(np.argmax(dev)) and model["dev"]["accuracy"] == max(dev)
    assert not list((unbroken / "seed-0").glob("round-*/best"))
    saved = open_saved(unbroken)
    assert saved.task.score(
        splits := open_splits(settings(files)).dev, saved.scores([saved.best], splits)[0]
    )["accuracy"] == pytest.approx(max(dev))


def test_what_a_teacher_labelled_is_no_held_out_row(unbroken, files):
    saved, path = open_saved(unbroken), str(files / "more.tsv")
    examples, _ = read_examples(path, saved.cfg)
    with pytest.raises(UserError, match="a model was trained on each of its 96 rows"):
        of_file(path, examples, voices_of([saved], every=False))


@pytest.mark.slow
def test_the_first_teacher_is_a_run_without_unlabelled_rows(unbroken, files, tmp_path):
    cfg = config(files / "train.tsv", files / "dev.tsv", tune={"epochs": 3, "batch_size": 8})
    assert finetune(cfg, tmp_path / "plain", start()).stopped is None

    def losses(folder):
        lines = (folder / "metrics.jsonl").read_text().splitlines()
        return [json.loads(line)["loss"] for line in lines if '"train"' in line]

    plain = losses(tmp_path / "plain" / "seed-0")
    assert plain and plain == losses(unbroken / "seed-0" / "round-0")


@pytest.mark.slow
def test_stopped_anywhere_it_ends_as_the_unbroken_run_does(unbroken, files, tmp_path):
    """In the teacher, between it and its student, in the student, and at the end of an epoch."""
    cfg = settings(files)
    for steps in (5, 43, 5, 26):
        done = finetune(cfg, tmp_path / "run", start(), stop=stop_after(steps))
        assert done.stopped == "SIGTERM"
        assert not (tmp_path / "run" / "seed-0" / "result.json").exists()
    assert (tmp_path / "run" / "seed-0" / "round-1" / "pseudo_labels.jsonl").exists()
    _, own = start_of(tmp_path / "run")  # where that of --init is gone
    assert finetune(cfg, tmp_path / "run", own).stopped is None
    assert_same(tmp_path / "run", unbroken)


@pytest.mark.slow
def test_killed_where_something_is_half_there_it_goes_on(unbroken, files, tmp_path, monkeypatch):
    """After a lesson's first file, and after the best round's weights were copied."""
    run, real = tmp_path / "run", lessons.replace_file

    def killed(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(lessons, "replace_file", killed)
    with pytest.raises(KeyboardInterrupt):
        finetune(settings(files), run, start())
    monkeypatch.setattr(lessons, "replace_file", real)
    assert (run / "seed-0" / "round-1" / "lesson.json").exists()
    with monkeypatch.context() as patched:
        patched.setattr("bertjax.finetuning.rounds.write_json", killed)
        with pytest.raises(KeyboardInterrupt):
            finetune(settings(files), run, start())
    assert (run / "seed-0" / "best").is_dir()
    assert finetune(settings(files), run, start()).stopped is None
    assert_same(run, unbroken)


@pytest.mark.slow
def test_weights_and_shares_and_students_that_go_on(files, tmp_path):
    """A continued student of weighted rows, with the shares that EM finds."""
    cfg = settings(
        files,
        method="weighted_pseudo_labels",
        threshold=0.0,
        pseudo_weight=0.5,
        mean="each",
        shift="em",
        student="continued",
        rounds=1,
    )
    assert finetune(cfg, tmp_path / "run", start()).stopped is None
    content = json.loads((tmp_path / "run" / "results.json").read_text())
    about = content["models"][0]["rounds"][1]
    assert about["taken"] == 96 and about["labelled"] == 128
    assert about["labelled_weight"] == pytest.approx(224 / 128)
    assert about["pseudo_weight"] == pytest.approx(0.5 * 224 / 96)
    assert about["mass_ratio"] == pytest.approx(96 * 0.5 / 128)
    assert sum(about["target_shares"].values()) == pytest.approx(1)
    labels = [e.label for e in open_splits(cfg).train]
    mean = np.mean([about["class_weights"][label] for label in labels])
    assert mean == pytest.approx(1)  # on the labelled rows


def test_weights_of_rows_are_no_part_of_what_the_sum_is_divided_by(files):
    """The batch of a lesson: a mean over all rows of W times the loss."""
    material = material_of(settings(files, method="weighted_pseudo_labels"))
    train = material.encoded["train"]
    lines = [{"row": i, "id": str(i), "label": "good", "confidence": 1.0} for i in (0, 5, 7)]
    about = {"labelled_weight": 1.0, "pseudo_weight": 0.1, "class_weights": {"good": 2, "bad": 3}}
    found = lessons.taught(material, train, Lesson(lines, about))
    assert [e.id for e in found.examples[128:]] == ["0", "5", "7"]
    expected = [{"good": 2, "bad": 3}[e.label] for e in train.examples] + [0.1] * 3
    np.testing.assert_allclose(found.rows.weights, expected, rtol=1e-6)
    (plan, *_) = training_plan(found.rows, material.student_forms, 131, 0, 0)
    batch = make_batch(found.rows, plan, 136, 0)
    assert batch["loss_weights"].dtype == np.float32 and batch["loss_weights"].shape == (136,)
    np.testing.assert_allclose(batch["loss_weights"][:131], np.float32(expected)[plan.groups])
    kept = found.rows.select(np.array([0, 129]))
    np.testing.assert_allclose(kept.weights, [expected[0], 0.1], rtol=1e-6)


def test_the_loss_of_weighted_rows_by_hand():
    """Losses of 1, 2 and 10 with weights 1, 1 and 0.1: 4 / 3."""
    logits = np.array([[0.0, np.log(np.e**nll - 1)] for nll in (1.0, 2.0, 10.0, 5.0)], np.float32)
    batch = {
        "label": np.zeros(4, np.int32),
        "example_weights": np.array([1, 1, 1, 0], np.float32),
        "loss_weights": np.array([1, 1, 0.1, 0], np.float32),
    }
    shape = TaskShape("classification", 2)
    found = weighted_mean(shape, {"logits": logits}, batch)
    assert float(found) == pytest.approx(4 / 3, abs=1e-6)
    plain = {name: value for name, value in batch.items() if name != "loss_weights"}
    total, count = task_losses.loss(shape, {"logits": logits}, plain)
    assert float(weighted_mean(shape, {"logits": logits}, plain)) == float(total / count)


def test_a_round_that_changes_nothing_is_the_last(files, tmp_path):
    cfg = settings(files, threshold=1.0, rounds=3)
    cfg = replace(cfg, tune=replace(cfg.tune, epochs=1))
    assert finetune(cfg, tmp_path / "run", start()).stopped is None
    (model,) = json.loads((tmp_path / "run" / "results.json").read_text())["models"]
    assert [entry.get("ended") for entry in model["rounds"]] == [None, "no row is taken in"]
    assert model["round"] == 0


def test_a_lesson_is_read_as_it_was_written(files, tmp_path):
    material = material_of(settings(files))
    line = {"row": 3, "id": "a\u2028b\x85", "label": "good", "confidence": 0.1 + 0.2}
    lines = [line | {"weight": 1 / 7}, line | {"row": 95, "weight": 1}]
    about = {"of": 96, "taken": 2, "labelled_weight": 1 / 3, "pseudo_weight": 1.0, "classes": {}}
    lesson = Lesson(lines, about)
    assert Lesson.read(tmp_path, material) is None
    lesson.write(tmp_path)
    assert Lesson.read(tmp_path, material) == lesson
    for change in ({"row": 96}, {"row": -1}, {"label": "other"}, {"label": ["good"]}):
        Lesson([lines[0], lines[1] | change], about).write(tmp_path)
        assert Lesson.read(tmp_path, material) is None
    Lesson(lines, about | {"class_weights": {"good": 1.0}}).write(tmp_path)
    assert Lesson.read(tmp_path, material) is None  # which says nothing of the other class


def test_a_lesson_is_another_if_it_teaches_otherwise():
    line = {"row": 3, "id": "3", "label": "good", "confidence": 0.9, "weight": 0.1}
    lesson = Lesson([line], {"labelled_weight": 1.0, "of": 9})
    surer = Lesson([line | {"confidence": 0.99}], {"labelled_weight": 1.0, "of": 9, "more": 1})
    assert lesson.teaches_as(surer)
    for change in ({"row": 4}, {"label": "bad"}, {"weight": 0.2}):
        assert not lesson.teaches_as(Lesson([line | change], lesson.about))
    assert not lesson.teaches_as(Lesson([line], lesson.about | {"class_weights": {"good": 2.0}}))
    assert not lesson.teaches_as(Lesson([], lesson.about))


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (
            "dev",
            r"a.txt:2: its text is in dev too, as those of 2 of 4 rows are, .*: take such rows",
        ),
        ("train", r"data.unlabelled=.*: each of its 2 rows has the text of a labelled one"),
    ],
)
def test_rows_of_dev_are_not_learnt_from(files, tmp_path, rows, says):
    known = (files / f"{rows}.tsv").read_text().splitlines()
    texts = [line.split("\t")[0] for line in known[1:3]]
    more = ["a new river good"] if rows == "dev" else []
    path = tmp_path / "a.txt"
    path.write_text("\n".join([*more, *texts, *more]).upper() + "\n")
    cfg = settings(files)
    cfg = replace(cfg, data=replace(cfg.data, unlabelled=str(path)))
    with pytest.raises(UserError, match=says) as caught:
        finetune(cfg, tmp_path / "run", start())
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()
    if rows == "dev":
        splits = open_splits(replace(cfg, data=replace(cfg.data, skip_bad_rows=True)))
        assert len(splits.unlabelled) == 2 and splits.accounts["unlabelled"].count == 2


def test_rows_of_train_are_left_out_and_of_test_are_noted(files, tmp_path):
    texts = [line.split("\t")[0] for line in (files / "train.tsv").read_text().splitlines()[1:4]]
    more = (files / "more.tsv").read_text().splitlines()
    (tmp_path / "a.txt").write_text("\n".join([*texts, *(x.split("\t")[0] for x in more[1:]), ""]))
    (tmp_path / "test.tsv").write_text("\n".join([*more[:6], ""]))
    cfg = settings(files)
    data = replace(cfg.data, unlabelled=str(tmp_path / "a.txt"), test=str(tmp_path / "test.tsv"))
    splits = open_splits(replace(cfg, data=data))
    assert len(splits.unlabelled) == 96
    lines = "\n".join(splits.report())
    assert "unlabelled: 3 of 99 rows are labelled in data.train: left out" in lines
    assert "unlabelled: 5 of 96 rows are in data.test too" in lines


def test_runs_of_before_have_no_such_section(files):
    cfg = config(files / "train.tsv")
    assert cfg.transfer == TransferConfig() and task_shape(cfg).features is None
