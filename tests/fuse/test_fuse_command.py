"""`bertjax fuse` from runs to predictions: what is learned, from which rows, what is refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_task import config, results, start, write_table

from bertjax.cli.main import main
from bertjax.finetuning.run import finetune
from bertjax.finetuning.saved import open_saved
from bertjax.fuse.held_out import OUT_OF_FOLD, out_of_fold
from bertjax.fuse.soup import average
from bertjax.fuse.stored import open_fusion
from bertjax.fuse.voices import voices_of
from bertjax.tasks.families import read_examples
from bertjax.tree import flatten

WAYS = ["average", "vote", "weighted", "stack", "soup", "uniform-soup"]


@pytest.fixture(scope="session")
def home(once) -> Path:
    """Files, and runs a and b of one start, c of another seed, and f of two folds."""

    def make(root: Path) -> None:
        root.mkdir()
        train, dev = write_table(root / "train.tsv", 160), write_table(root / "dev.tsv", 40, 1)
        write_table(root / "new.tsv", 48, 2)
        write_table(root / "test.tsv", 32, 3)
        for name, changes in (
            ("a", {"epochs": 1}),
            ("b", {"epochs": 2}),
            ("c", {"epochs": 1, "seeds": (1,)}),
        ):
            finetune(config(train, dev, tune=changes), root / name, start())
        finetune(config(train, tune={"epochs": 1, "folds": 2}), root / "f", start())

    return once("fusing", make)


def fuse(home, out, *words) -> int:
    runs = [str(home / word) if (home / word).exists() else word for word in words]
    return main(["fuse", *runs, "--out", str(out)])


@pytest.mark.slow
@pytest.mark.parametrize("method", ["weighted", "stack"])
def test_what_is_stored_predicts_as_it_was_learned(method, home, tmp_path, capfd):
    out, new, test = tmp_path / "x", str(home / "new.tsv"), str(home / "test.tsv")
    assert fuse(home, out, "a", "b", "--data", new, "--method", method) == 0
    assert f"| {method} |" in capfd.readouterr().out
    content = results(out)
    assert [row["name"] for row in content["rows"]] == ["a/seed-0", "b/seed-0", *WAYS]
    assert content["split"] == new and content["examples"] == 48
    said = open_fusion(out)
    examples, _ = read_examples(test, said.voices[0].run.cfg)
    named, together = said.judge([replace(example, label=None) for example in examples])
    again = said.way.combine(said.task, [one.scores for one in named])
    np.testing.assert_array_equal(together.scores, again)
    assert main(["evaluate", str(out), "--data", test, "--out", str(tmp_path / "s.json")]) == 0
    scores = json.loads((tmp_path / "s.json").read_text())["scores"]
    assert list(scores) == ["a/seed-0", "b/seed-0", "together"]
    assert scores["together"]["accuracy"] == said.task.score(examples, together.scores)["accuracy"]
    assert main(["predict", str(out), "--input", test, "--out", str(tmp_path / "p")]) == 0
    lines = [json.loads(line) for line in (tmp_path / "p").read_text().splitlines()]
    np.testing.assert_allclose(
        [[line["probabilities"][label] for label in ("bad", "good")] for line in lines],
        together.scores,
        atol=1e-12,
    )
    assert main(["info", str(out)]) == 0
    assert f"method    {method}" in capfd.readouterr().out
    table = (out / "table.md").read_text()
    assert "on none of which a model was trained\n" in table and "95 % interval" in table


@pytest.mark.slow
def test_all_are_compared_by_the_f1_of_one_class(home, tmp_path):
    """As `evaluate` tells it, whatever each run was judged by; one run's examples are gone."""
    config_json = Path(shutil.copytree(home / "b", tmp_path / "b")) / "config.json"
    text = config_json.read_text().replace('"positive": ""', '"positive": "bad"')
    config_json.write_text(text.replace("train.tsv", "gone.tsv"))
    assert open_saved(tmp_path / "b").cfg.task.positive == "bad"
    new = ["--data", str(home / "new.tsv")]
    for given, positive in ((["task.positive=bad"], "bad"), ([], "good")):
        words = [str(home / "a"), str(tmp_path / "b"), *given, *new]
        out = tmp_path / positive
        assert main(["fuse", *words, "--method", "average", "--out", str(out)]) == 0
        assert main(["evaluate", *words, "--out", str(tmp_path / "s.json")]) == 0
        content, scores = results(out), json.loads((tmp_path / "s.json").read_text())["scores"]
        assert content["conventions"]["f1"].startswith(f"of '{positive}'")
        assert content["says"][0].endswith("a model was trained, as far as is known")
        for row in content["rows"][:2]:
            assert row["metrics"]["f1"] == pytest.approx(scores[row["name"]]["f1"])


@pytest.mark.slow
def test_a_soup_is_a_run_of_one_model(home, tmp_path, capfd):
    out, new = tmp_path / "soup", str(home / "new.tsv")
    assert fuse(home, out, "a", "b", "--data", new, "--method", "uniform-soup") == 0
    saved, runs = open_saved(out), [open_saved(home / name) for name in "ab"]
    mixed = average(run.parameters(run.best) for run in runs)
    for path, leaf in flatten(saved.parameters(saved.best)).items():
        np.testing.assert_array_equal(leaf, flatten(mixed)[path])
    row = results(out)["soup"]["rows"][-1]
    assert row["name"] == "uniform-soup"
    assert main(["evaluate", str(out), "--data", new, "--out", str(tmp_path / "s.json")]) == 0
    (scores,) = json.loads((tmp_path / "s.json").read_text())["scores"].values()
    assert scores["accuracy"] == row["metrics"]["accuracy"]
    assert main(["export", str(out), "--out", str(tmp_path / "hf")]) == 0
    assert f"uniform-soup of a/seed-0, b/seed-0, chosen by accuracy on {new}" in (
        capfd.readouterr().out
    )
    config_json = json.loads((tmp_path / "hf" / "config.json").read_text())
    assert config_json["architectures"] == ["BertForSequenceClassification"]
    card = (tmp_path / "hf" / "README.md").read_text()
    assert "On dev: new.tsv, 48 examples." in card and str(home) not in card
    assert "uniform-soup of a/seed-0, b/seed-0, chosen by accuracy on new.tsv. These" in card
    again = ["c", str(out), "--data", new, "--method", "vote"]  # what it was trained on is known
    assert fuse(home, tmp_path / "y", *again) == 0
    assert not any("is not known" in line for line in results(tmp_path / "y")["says"])
    assert main(["info", str(out)]) == 0


@pytest.mark.slow
def test_folds_are_learned_from_on_what_they_were_kept_from(home, tmp_path):
    """Also as the run itself told of it."""
    saved = open_saved(home / "f")
    other = shutil.copytree(home / "f", tmp_path / "g")  # its models are made other ones below
    voices = voices_of([saved], every=False)
    held = out_of_fold(voices)
    text = (home / "f" / "out_of_fold.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    told = [[line["probabilities"][label] for label in ("bad", "good")] for line in lines]
    np.testing.assert_allclose(np.array(held.many[0]), told, atol=1e-6)
    words = ["f", str(other), "--method"]
    assert fuse(home, tmp_path / "x", *words, "average") == 2  # one model twice
    shutil.rmtree(other)
    cfg = config(home / "train.tsv", tune={"epochs": 1, "folds": 2, "seeds": (1,)})
    finetune(cfg, other, start())
    assert fuse(home, tmp_path / "x", *words, "weighted") == 0
    content = results(tmp_path / "x")
    assert content["split"] == OUT_OF_FOLD and content["examples"] == 160
    assert [row["name"] for row in content["rows"]][:2] == ["f/seed-0", "g/seed-1"]
    assert any("no soup, uniform-soup: g/seed-1-fold-0" in line for line in content["says"])
    voice = open_fusion(tmp_path / "x").voices[1]
    assert [member.name for member in voice.members] == ["seed-1-fold-0", "seed-1-fold-1"]


@pytest.mark.slow
def test_a_fusion_finds_its_runs_and_no_others(home, tmp_path, capfd):
    for name in "ac":
        shutil.copytree(home / name, tmp_path / "here" / name)
    here = tmp_path / "here"
    new = ["--data", str(home / "new.tsv")]
    assert fuse(here, here / "x", "a", "c", *new, "--method", "vote") == 0
    there = shutil.move(here, tmp_path / "there")
    assert len(open_fusion(there / "x").voices) == 2  # they moved together
    words = ["evaluate", str(there / "x"), *new]
    assert main([*words, "--weights=1,2"]) == 2
    assert "name it alone" in capfd.readouterr().err
    shutil.rmtree(there / "c" / "seed-1")
    shutil.copytree(there / "a" / "seed-0", there / "c" / "seed-1")
    assert main(words) == 2
    assert "does not hold the weights of c/seed-1" in capfd.readouterr().err
    shutil.rmtree(there / "c")
    assert main(words) == 2
    assert "which is not there: put that run back" in capfd.readouterr().err


@pytest.mark.slow
def test_rows_that_a_model_was_trained_on_teach_nothing(home, tmp_path, capfd):
    """Whatever their case; those that chose the epochs are said."""
    train = (home / "train.tsv").read_text().splitlines()
    dev = (home / "dev.tsv").read_text().splitlines()
    mixed = tmp_path / "mixed.tsv"
    mixed.write_text("\n".join([*dev, *(line.replace("river", "River") for line in train[1:9])]))
    words = ["a", "b", "--data", str(mixed), "--method", "average"]
    assert fuse(home, tmp_path / "x", *words) == 0
    content = results(tmp_path / "x")
    seen = {line.split("\t")[0] for line in train[1:]}
    fresh = [line for line in dev[1:] if line.split("\t")[0] not in seen]
    assert (content["examples"], content["left_out"]) == (len(fresh), 48 - len(fresh))
    assert any("chose the best epoch of a model too" in line for line in content["says"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["a", "--data", "new.tsv", "--method", "average"], "a/seed-0 is the only model"),
        (["a", "b", "--data", "train.tsv", "--method", "stack"], "each of its 160 rows"),
        (["a", "b", "--method", "stack"], "a has no folds"),
        (["a", "a", "--data", "new.tsv", "--method", "vote"], "have the same weights"),
        (["a", "c", "--data", "new.tsv", "--method", "soup"], "unlike seeds"),
        (["f", "--method", "soup"], "trained on one another's rows"),
        (["a", "b", "--data", "new.tsv", "--method", "vote", "--votes", "2"], "for entities"),
        (["a", "b", "--data", "new.tsv", "--method", "stack", "--votes", "1"], "only vote counts"),
        (["a", "b", "--data", "new.tsv", "--method", "blend"], "invalid choice: 'blend'"),
        (["a", "b", "data.text=x", "--method", "vote"], "how a file is read, and none is"),
        (["a", "b", "task.positive=x", "--data", "new.tsv", "--method", "vote"], "not one of"),
        (["a", "b", "data.max_length=8", "--data", "new.tsv", "--method", "vote"], "keeps its"),
        (["new.tsv", "b", "--data", "new.tsv", "--method", "vote"], "is a file"),
    ],
    ids=lambda x: x if isinstance(x, str) else "-".join(x[:2]),
)
def test_refusals_of_fuse_are_one_line_and_make_nothing(words, says, home, tmp_path, capfd):
    words = [str(home / w) if w.endswith(".tsv") else w for w in words]
    assert fuse(home, tmp_path / "x", *words) == 2
    said = capfd.readouterr().err
    assert says in said and said.count("\n") == 1
    assert not list(tmp_path.iterdir())
