"""Runs of a tiny encoder: they learn, repeat themselves bit for bit, and go on where they were."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from unittest.mock import Mock

import jax
import numpy as np
import pytest
import tiny_task
from tiny_task import config, results, start

import bertjax
from bertjax import sharding
from bertjax.cli.main import main
from bertjax.config import FinetuneConfig, HeadConfig, MeshConfig, TaskConfig
from bertjax.errors import UserError
from bertjax.finetuning import run
from bertjax.finetuning.run import finetune
from bertjax.finetuning.saved import open_saved
from bertjax.finetuning.settle import task_shape
from bertjax.finetuning.step import make_predict, make_steps
from bertjax.predict import trained_pooling
from bertjax.tasks.families import read_examples
from bertjax.tree import flatten

pytestmark = pytest.mark.mesh


def parameters(path):
    saved = open_saved(path)
    return [flatten(jax.device_get(saved.parameters(member))) for member in saved.members]


def assert_same_run(ours, theirs):
    for a, b in zip(parameters(ours), parameters(theirs), strict=True):
        assert a.keys() == b.keys()
        assert all(a[name].tobytes() == b[name].tobytes() for name in a)
    a, b = results(ours), results(theirs)
    for content in (a, b):
        for entry in content["models"]:
            entry.pop("seconds_per_epoch")
    assert a == b
    assert (ours / "dev.jsonl").read_bytes() == (theirs / "dev.jsonl").read_bytes()


@pytest.fixture(scope="module")
def unbroken(tables, tmp_path_factory):
    path = tmp_path_factory.mktemp("unbroken") / "run"
    assert finetune(config(*tables), path, start()).stopped is None
    return path


def test_it_learns_and_writes_what_it_did(unbroken, tables):
    content = results(unbroken)
    assert content["splits"]["dev"]["models"]["accuracy"]["mean"] > 0.9
    assert content["convention"]["start"] == "a tiny encoder"
    predictions = [json.loads(line) for line in (unbroken / "dev.jsonl").read_text().splitlines()]
    examples, _ = read_examples(str(tables[1]), config(*tables))
    right = np.mean(
        [p["prediction"] == e.label for p, e in zip(predictions, examples, strict=True)]
    )
    assert right == pytest.approx(content["splits"]["dev"]["models"]["accuracy"]["mean"])
    assert not (unbroken / "seed-0" / "checkpoints").exists()
    assert (unbroken / "curve.png").stat().st_size > 1000
    assert (unbroken / "confusion-dev.png").stat().st_size > 1000


def test_vectors_are_pooled_as_the_head_was_trained(unbroken):
    """Which `bertjax export --sentence-transformers` asks, too."""
    model, texts = bertjax.load(unbroken), ["good bad", "bad"]
    assert np.array_equal(model.encode(texts), model.encode(texts, pooling="cls"))
    assert not np.allclose(model.encode(texts), model.encode(texts, pooling="mean"))
    for family, pooling, expected in (
        ("classification", "cls", "cls"),
        ("classification", "mean", "mean"),
        ("classification", "late", "mean"),
        ("tagging", "cls", "mean"),
    ):
        cfg = FinetuneConfig(task=TaskConfig(family=family), head=HeadConfig(pooling=pooling))
        assert trained_pooling(cfg) == expected


def test_results_hold_the_losses_of_every_epoch(unbroken, tables):
    """That of dev is the mean negative log-likelihood, which the probabilities of dev give."""
    (model,) = results(unbroken)["models"]
    assert [entry["epoch"] for entry in model["history"]] == [1, 2, 3]
    lines = [json.loads(line) for line in (unbroken / "dev.jsonl").read_text().splitlines()]
    likelihoods = [line["probabilities"][line["label"]] for line in lines]
    kept = model["history"][model["best_epoch"] - 1]
    assert kept["dev_loss"] == pytest.approx(-np.mean(np.log(likelihoods)), rel=1e-4)
    logged = [
        json.loads(line)
        for line in (unbroken / "seed-0" / "metrics.jsonl").read_text().splitlines()
    ]
    steps = [row for row in logged if row["kind"] == "train"]  # every second one
    first, last = (
        np.mean([row["loss"] for row in steps if low < row["step"] <= low + 12]) for low in (0, 24)
    )
    losses = [entry["train_loss"] for entry in model["history"]]
    assert losses[0] == pytest.approx(first, rel=0.3) and losses[0] > losses[2]
    assert losses[2] == pytest.approx(last, rel=0.3)


@pytest.mark.parametrize("positive", ["bad", "good"])
def test_f1_is_told_of_the_class_that_is_asked_for(unbroken, tables, positive, tmp_path, capfd):
    oracle = pytest.importorskip("sklearn.metrics")
    out = tmp_path / "scores.json"
    argv = ["evaluate", str(unbroken), "--data", str(tables[1]), f"task.positive={positive}"]
    assert main([*argv, "--out", str(out)]) == 0
    content = json.loads(out.read_text())
    lines = [json.loads(line) for line in (unbroken / "dev.jsonl").read_text().splitlines()]
    truth, predicted = ([line[name] for line in lines] for name in ("label", "prediction"))
    theirs = oracle.f1_score(truth, predicted, pos_label=positive)
    assert content["scores"]["run/seed-0"]["f1"] == pytest.approx(theirs)
    assert f"f1: {content['conventions']['f1']}" in capfd.readouterr().out
    assert content["conventions"]["f1"].startswith(f"of '{positive}'")


@pytest.mark.slow
def test_pictures_say_what_they_are_of(tables, tmp_path, monkeypatch):
    """By the titles, axes and legends that are drawn."""
    figure = pytest.importorskip("matplotlib.figure")
    drawn = {}
    monkeypatch.setattr(figure.Figure, "savefig", lambda f, path, dpi: drawn.update({path.stem: f}))
    cfg = config(*tables, data={"test": str(tables[1])}, tune={"seeds": (0, 1), "epochs": 2})
    assert finetune(cfg, tmp_path / "run", start()).stopped is None
    assert set(drawn) == {"curve", "confusion-dev", "confusion-test"}
    for split in ("dev", "test"):
        title = drawn[f"confusion-{split}"].get_suptitle()
        accuracy = results(tmp_path / "run")["splits"][split]["ensemble"]["accuracy"]
        assert title == f"tiny on {split}\n2 models together: accuracy {accuracy:.4f}"
    above, below = drawn["curve"].axes
    assert above.get_ylabel() == "accuracy on dev" and "loss" in below.get_ylabel()
    assert len(below.lines) == 4  # train and dev of each model
    (legend,) = drawn["curve"].legends
    assert [text.get_text() for text in legend.get_texts()] == ["seed-0", "seed-1"]
    drawn["curve"].canvas.draw()
    box = legend.get_window_extent()
    assert not any(axes.get_window_extent().overlaps(box) for axes in (above, below))


def test_a_run_is_done_before_it_is_drawn(unbroken, tables, tmp_path, monkeypatch):
    """A picture that cannot be made costs no result."""
    path = shutil.copytree(unbroken, tmp_path / "run")
    (path / "results.json").unlink()
    monkeypatch.setattr(run.plots, "draw", Mock(side_effect=MemoryError))
    with pytest.raises(MemoryError):
        finetune(config(*tables), path, start())
    assert_same_run(path, unbroken)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bits(unbroken, tables, tmp_path):
    assert finetune(config(*tables), tmp_path / "run", start()).stopped is None
    assert_same_run(tmp_path / "run", unbroken)


@pytest.mark.slow
def test_a_program_is_compiled_once_whatever_the_epochs(tables, tmp_path, monkeypatch):
    programs = []

    def noting(*args):
        steps = make_steps(*args)

        def train(*inputs):
            if len(programs) < epochs:
                programs.append(steps.train.lower(*inputs).as_text())
            return steps.train(*inputs)

        return steps._replace(train=train)

    monkeypatch.setattr(run, "make_steps", noting)
    for epochs in (1, 2):
        path = tmp_path / str(epochs)
        alone = {"learning_rate": 4.9e-3}  # a rate of its own: no other test shares its programs
        finetune(config(*tables, tune={"epochs": epochs}, optim=alone), path, start())
        cfg, mesh = open_saved(path).cfg, sharding.make_mesh(MeshConfig())
        assert make_predict(cfg, task_shape(cfg), mesh)._cache_size() == 1
        assert make_steps(cfg, task_shape(cfg), mesh).train._cache_size() == 1
    assert len(programs) == 2 and len(set(programs)) == 1


def stop_after(steps: int):
    """SIGTERM once so many steps have asked."""
    left = iter([None] * steps)
    return lambda: next(left, "SIGTERM")


def test_stopped_anywhere_it_ends_as_the_unbroken_run_does(unbroken, tables, tmp_path):
    """In the middle of an epoch, at its end, and once more."""
    for steps in (3, 6, 2):
        done = finetune(config(*tables), tmp_path / "run", start(), stop=stop_after(steps))
        assert done.stopped == "SIGTERM"
        assert not (tmp_path / "run" / "results.json").exists()
    assert finetune(config(*tables), tmp_path / "run", start()).stopped is None
    assert_same_run(tmp_path / "run", unbroken)
    rows = [
        json.loads(line)
        for line in (tmp_path / "run" / "seed-0" / "metrics.jsonl").read_text().splitlines()
    ]
    steps = [row["step"] for row in rows if row["kind"] == "train"]
    assert steps == sorted(set(steps))


def test_another_config_is_refused_and_nothing_is_lost(unbroken, tables):
    before = (unbroken / "results.json").read_bytes()
    with pytest.raises(UserError, match=r"another config \(optim.learning_rate: 0.005 -> 0.1"):
        finetune(config(*tables, optim={"learning_rate": 0.1}), unbroken, start())
    assert (unbroken / "results.json").read_bytes() == before


@pytest.mark.slow
def test_other_weights_tokenizers_and_examples_are_refused(unbroken, tables, tmp_path):
    before = {p: p.read_bytes() for p in unbroken.rglob("*") if p.is_file() and p.name != "lock"}
    moved = jax.tree.map(lambda x: x + 1, tiny_task.encoder())
    edited = tmp_path / "train.tsv"
    for other, says in (
        (replace(start(), params=moved), r"other weights \(--init\): "),
        (replace(start(), tokenizer=tiny_task.tokenizer(lowercase=False)), r"other tokenizer \("),
    ):
        with pytest.raises(UserError, match=says):
            finetune(config(*tables), unbroken, other)
    assert before == {path: path.read_bytes() for path in before}
    shutil.copy(tables[0], edited)
    assert finetune(config(edited, tables[1]), tmp_path / "run", start()).stopped is None
    edited.write_text(edited.read_text().replace("river", "city"))
    with pytest.raises(UserError, match="other train examples: give those back"):
        finetune(config(edited, tables[1]), tmp_path / "run", start())


@pytest.mark.slow
def test_a_model_that_was_damaged_after_it_was_done_is_trained_again(unbroken, tables, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(unbroken, run)
    shutil.rmtree(run / "seed-0" / "best")
    with pytest.raises(UserError, match="no trained model that verifies: delete that directory"):
        open_saved(run).parameters(open_saved(run).best)
    assert finetune(config(*tables), run, start()).stopped is None
    assert_same_run(run, unbroken)
    (run / "seed-0" / "result.json").write_text("{")
    assert finetune(config(*tables), run, start()).stopped is None
    assert_same_run(run, unbroken)


@pytest.mark.parametrize("layers", [0, 1])
def test_frozen_layers_do_not_move_and_the_others_do(layers, tables, tmp_path):
    cfg = config(*tables, tune={"epochs": 1, "layers": layers})
    assert finetune(cfg, tmp_path / "run", start()).stopped is None
    saved = open_saved(tmp_path / "run")
    after = flatten(jax.device_get(saved.parameters(saved.members[0])))
    before = flatten(tiny_task.encoder())
    for name, value in after.items():
        if name.startswith("head/"):
            continue
        frozen = name.startswith(("embeddings/", "layer_0/")) or (
            layers == 0 and name.startswith("layer_1/")
        )
        assert (value.tobytes() == before[name].tobytes()) == frozen, name
    (tmp_path / "run" / "states.left").mkdir()  # by a run that was killed
    assert finetune(cfg, tmp_path / "run", start()).stopped is None
    assert layers or not list((tmp_path / "run").glob("states*"))
    # What was scored with kept states is what the whole model says.
    examples, _ = read_examples(str(tables[1]), cfg)
    (scores,) = saved.scores(saved.members, examples)
    dev = results(tmp_path / "run")["splits"]["dev"]["models"]
    assert saved.task.score(examples, scores)["accuracy"] == dev["accuracy"]["mean"]


def test_an_unknown_metric_is_refused_before_anything_is_made(tables, tmp_path):
    with pytest.raises(UserError, match=r"task.metric=acuracy .* did you mean 'accuracy'"):
        finetune(config(*tables, task={"metric": "acuracy"}), tmp_path / "run", start())
    assert not (tmp_path / "run").exists()
