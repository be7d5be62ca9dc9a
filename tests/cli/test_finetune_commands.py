"""Fine-tuning by the command line: learn, evaluate, predict, export, and what is refused."""

from __future__ import annotations

import json
import random
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

import bertjax
from bertjax.cli.main import main
from bertjax.config import PretrainConfig
from bertjax.errors import EXIT_BAD_INPUT
from bertjax.finetuning.saved import open_saved
from bertjax.recipes.files import load_config
from bertjax.tasks.families import read_examples
from bertjax.terminal import count
from bertjax.tree import flatten

CONFIG = """
from bertjax.config import *


def get_config():
    return FinetuneConfig(
        task=TaskConfig(name="tiny"),
        data=ExamplesConfig(text="review", label="stars", max_length=24),
        tune=TuneConfig(epochs=1, batch_size=16),
    )
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("reviews")
    (folder / "config.py").write_text(CONFIG)
    draw = random.Random(0)
    for name, rows in (("train", 48), ("dev", 16), ("test", 20)):
        lines = ["id\treview\tstars"]
        for i in range(rows):
            stars = draw.choice("135")
            words = draw.choices(["river", "city", "garden", "old"], k=5)
            lines.append(f"r{i}\tThe {' '.join(words)} {stars}.\t{stars}")
        (folder / f"{name}.tsv").write_text("\n".join(lines) + "\n")
    return folder


def argv(files, workdir, start, *more) -> list[str]:
    return [
        "finetune", "--config", str(files / "config.py"), "--init", str(start),
        "--workdir", str(workdir), f"data.train={files / 'train.tsv'}",
        f"data.dev={files / 'dev.tsv'}", *more,
    ]  # fmt: skip


@pytest.fixture(scope="module")
def tuned(tmp_path_factory, files, trained) -> Path:
    workdir = tmp_path_factory.mktemp("tuned") / "ft"
    assert main(argv(files, workdir, trained)) == 0
    return workdir


@pytest.mark.mesh  # on one, batches of other sizes round otherwise
def test_what_was_learnt_is_evaluated_and_predicted(tuned, files, tmp_path, capfd):
    dev = str(files / "dev.tsv")
    assert main(["evaluate", str(tuned), "--data", dev, "--out", str(tmp_path / "s.json")]) == 0
    said = capfd.readouterr().out
    results = json.loads((tuned / "results.json").read_text())
    accuracy = results["splits"]["dev"]["models"]["accuracy"]["mean"]
    assert "ft/seed-0 " in said and f"accuracy {accuracy:.4f}" in said
    assert (
        json.loads((tmp_path / "s.json").read_text())["scores"]["ft/seed-0"]["accuracy"] == accuracy
    )
    out = tmp_path / "p.jsonl"
    assert main(["predict", str(tuned), "--input", dev, "--out", str(out)]) == 0
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    with_labels = [json.loads(line) for line in (tuned / "dev.jsonl").read_text().splitlines()]
    assert [line | {"models": ["seed-0"]} for line in lines] == [
        {name: value for name, value in line.items() if name != "label"} for line in with_labels
    ]
    assert "by        ft/seed-0\n" in capfd.readouterr().out
    gold = [line.split("\t")[2] for line in (files / "dev.tsv").read_text().splitlines()[1:]]
    assert [line["label"] for line in with_labels] == gold
    (tmp_path / "x.txt").write_text("The old river 5.\n\nThe city 1.\n")
    assert main(["predict", str(tuned), "--input", str(tmp_path / "x.txt"), "--out", str(out)]) == 0
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line["id"] for line in lines] == ["0", "2"]
    assert all(abs(sum(line["probabilities"].values()) - 1) < 1e-6 for line in lines)
    kept, _ = out.read_text(), capfd.readouterr()
    assert main(["predict", str(tuned), "--input", str(tmp_path / "x.txt"), "--out", "-"]) == 0
    said = capfd.readouterr()
    assert said.out == kept and "to        standard output" in said.err
    assert main(["fill-mask", str(tuned), "a [MASK] b"]) == EXIT_BAD_INPUT
    assert "is a run of `bertjax finetune`: give a run of" in capfd.readouterr().err
    assert main(["info", str(tuned)]) == 0
    assert "tiny, classification, 3 labels" in capfd.readouterr().out


def test_a_fine_tuned_run_is_a_start_for_the_next(tuned, files, tmp_path, capfd):
    assert main(argv(files, tmp_path / "b", tuned, "tune.epochs=0")) == EXIT_BAD_INPUT
    assert "tune.epochs=0" in capfd.readouterr().err
    assert main(argv(files, tmp_path / "b", tuned)) == 0
    convention = json.loads((tmp_path / "b" / "results.json").read_text())["convention"]
    assert convention["start_task"] == "tiny" and str(tuned) in convention["start"]


def test_export_with_its_head_and_without(tuned, tmp_path, capfd):
    assert main(["export", str(tuned), "--out", str(tmp_path / "hf")]) == 0
    (number,) = re.findall(r"([\d,]+) parameters", capfd.readouterr().out)
    assert main(["info", str(tuned)]) == 0
    assert f" {count(int(number.replace(',', '')))} parameters" in capfd.readouterr().out
    config = json.loads((tmp_path / "hf" / "config.json").read_text())
    assert config["architectures"] == ["BertForSequenceClassification"]
    assert config["id2label"] == {"0": "1", "1": "3", "2": "5"}
    assert main(["export", str(tuned), "--out", str(tmp_path / "encoder"), "--encoder"]) == 0
    names = load_file(tmp_path / "encoder" / "model.safetensors").keys()
    assert names and not any(name.startswith("classifier") for name in names)


def test_from_python_it_says_what_the_commands_say(tuned, trained, tmp_path):
    model = bertjax.load(tuned)
    lines = [json.loads(line) for line in (tuned / "dev.jsonl").read_text().splitlines()]
    for line, said in zip(lines, model.predict([line["text"] for line in lines]), strict=True):
        assert said["prediction"] == line["prediction"]
        np.testing.assert_allclose(
            list(said["probabilities"].values()), list(line["probabilities"].values()), atol=1e-6
        )
    texts = [line["text"] for line in lines]
    assert main(["export", str(tuned), "--out", str(tmp_path / "hf"), "--encoder"]) == 0
    np.testing.assert_array_equal(
        model.encode(texts, "mean"), bertjax.load(tmp_path / "hf").encode(texts), strict=True
    )
    with pytest.raises(bertjax.UserError, match="fine-tuned and keeps no head over tokens"):
        model.fill_mask("a [MASK]")
    assert model.predict([]) == [] and len(model.predict(texts[:1])) == 1
    with pytest.raises(bertjax.UserError, match="'The' is one text: give a list"):
        model.predict("The")
    with pytest.raises(bertjax.UserError, match="no head for a task"):
        bertjax.load(trained).predict(texts)


def random_argv(files, workdir, corpus, recipe, *more) -> list[str]:
    tokenizer = ["--tokenizer", str(corpus / "tokenizer"), "--architecture", str(recipe)]
    return [*argv(files, workdir, "random", *more), *tokenizer]


@pytest.mark.parametrize("layers", ["-1", "0"])
def test_random_weights_are_those_of_each_seed(layers, files, corpus, recipe, tmp_path, capfd):
    """Of a pretraining recipe's model, also where the encoder does not move."""
    more = ["tune.seeds=0,1", f"tune.layers={layers}", "model.intermediate_size=96"]
    assert main(random_argv(files, tmp_path / "ft", corpus, recipe, *more)) == 0
    assert "start  random weights\nmodel  1 layers × 32\n" in capfd.readouterr().err
    saved = open_saved(tmp_path / "ft")
    assert saved.results["convention"]["start"] == "random weights"
    asked = load_config(recipe, PretrainConfig).model
    assert saved.cfg.model.hidden_size == asked.hidden_size
    assert saved.cfg.model.intermediate_size == 96
    one, two = (flatten(saved.parameters(member)) for member in saved.members)
    table = "embeddings/word_embeddings/embedding"
    assert not np.array_equal(one[table], two[table])
    # What is told of dev is what these weights say of the file.
    examples, _ = read_examples(str(files / "dev.tsv"), saved.cfg)
    said = saved.scores(saved.members, examples)
    told = saved.results["splits"]["dev"]["models"]["accuracy"]["values"]
    assert [saved.task.score(examples, scores)["accuracy"] for scores in said] == told


def test_what_random_weights_need_is_asked_for(files, corpus, recipe, trained, tmp_path, capfd):
    for given, says in (
        (argv(files, tmp_path / "r", "random"), "--init random without --tokenizer"),
        ([*random_argv(files, tmp_path / "r", corpus, recipe)[:-1], "bert_tine"], "'bert_tiny'"),
        (random_argv(files, tmp_path / "r", corpus, recipe, "model.vocab_size=9"), "at least that"),
        (random_argv(files, tmp_path / "r", corpus, recipe, "model.layers=9"), "model.num_layers"),
        (
            [*argv(files, tmp_path / "r", trained), "--architecture", "bert_tiny"],
            "its model brings its own",
        ),
    ):
        assert main(given) == EXIT_BAD_INPUT
        said = capfd.readouterr().err
        assert says in said and said.count("\n") == 1
    assert not (tmp_path / "r").exists()


@pytest.fixture(scope="module")
def seeds(tmp_path_factory, files, trained) -> Path:
    """Two models, with a test file."""
    workdir = tmp_path_factory.mktemp("seeds") / "ft"
    test = f"data.test={files / 'test.tsv'}"
    assert main(argv(files, workdir, trained, test, "tune.seeds=0,1")) == 0
    return workdir


@pytest.mark.slow
def test_the_card_has_the_scores_on_test_of_the_model_and_of_all_seeds(seeds, tmp_path, capfd):
    hub = pytest.importorskip("huggingface_hub")
    splits = json.loads((seeds / "results.json").read_text())["splits"]
    for options, at in (([], None), (["--model", "seed-1"], 1)):
        out = tmp_path / f"hf{at}"
        capfd.readouterr()
        options = [*options, "--dataset", "someone/reviews"]
        assert main(["export", str(seeds), "--out", str(out), *options]) == 0
        (chosen,) = re.findall(r"model    (seed-\d), epoch 1 of 1: (.*)", capfd.readouterr().out)
        at = int(chosen[0][-1]) if at is None else at
        assert chosen[0] == f"seed-{at}"
        assert "--model" in options or chosen[1] == "the best of 2 models by accuracy on dev"
        card = hub.ModelCard.load(out / "README.md")
        found = {
            result.metric_name.partition(":")[0]: (result.metric_value, result.dataset_split)
            for result in card.data.eval_results
        }
        on_test = splits["test"]["models"]
        assert found == {name: (said["values"][at], "test") for name, said in on_test.items()}
        first = card.data.eval_results[0]
        assert (first.dataset_name, first.dataset_type) == ("test.tsv", "someone/reviews")
        assert card.data.datasets == ["someone/reviews"]
        assert set(card.data.metrics) == {result.metric_type for result in card.data.eval_results}
        for name, said in on_test.items():
            row = f"| {name} | {said['values'][at]:.4f} | {said['mean']:.4f} ± {said['sd']:.4f} | "
            assert row + said["convention"] in card.content
        assert "of train.tsv (48 examples)" in card.content and "(1, 3, 5)" in card.content
        assert " ".join(chosen) in card.content.replace(", epoch 1 of 1:", "")


@pytest.mark.slow
def test_a_card_without_test_says_that_dev_chose_the_model(tuned, tmp_path):
    assert main(["export", str(tuned), "--out", str(tmp_path / "hf")]) == 0
    card = (tmp_path / "hf" / "README.md").read_text()
    assert "On dev: dev.tsv, 16 examples." in card and "the numbers flatter it" in card
    assert main(["export", str(tuned), "--out", str(tmp_path / "e"), "--encoder"]) == 0
    card = (tmp_path / "e" / "README.md").read_text()
    assert "With the head that is left out here" in card and "model-index" not in card
    argv = ["export", str(tuned), "--out", str(tmp_path / "v"), "--sentence-transformers"]
    assert main(argv) == 0
    card = (tmp_path / "v" / "README.md").read_text()
    assert "last state of [CLS]. The weights were trained with head.pooling=cls, for class" in card


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["data.train=gone.tsv"], "gone.tsv"),
        (["data.text=reveiw"], "did you mean 'review'"),
        (["data.max_length=64"], "32 positions"),
        (["tune.layers=9"], "1 layers"),
        (["head.crf=true"], "task.family=tagging"),
        (["task.metric=acuracy"], "did you mean 'accuracy'"),
        (["tune.folds=1"], "tune.folds=1"),
        (["tune.epoch=2"], "did you mean tune.epochs"),
        (["model.num_layers=2"], "model.num_layers=2"),
    ],
)
def test_refusals_are_one_line_and_make_nothing(options, says, files, trained, tmp_path, capfd):
    assert main(argv(files, tmp_path / "run", trained, *options)) == EXIT_BAD_INPUT
    said = capfd.readouterr().err
    assert says in said and said.count("\n") == 1 and "Traceback" not in said
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_runs_that_predict_other_labels_are_no_ensemble(tuned, files, trained, tmp_path, capfd):
    more = ['task.labels=["1","3","5","7"]']
    assert main(argv(files, tmp_path / "c", trained, *more)) == EXIT_BAD_INPUT
    assert "no row has the label '7'" in capfd.readouterr().err
    text = (files / "train.tsv").read_text().replace("\t5\n", "\t4\n")
    (tmp_path / "t.tsv").write_text(text)
    more = [f"data.train={tmp_path / 't.tsv'}", "data.dev="]
    assert main(argv(files, tmp_path / "d", trained, *more)) == 0
    capfd.readouterr()
    runs = [str(tuned), str(tmp_path / "d")]
    assert main(["evaluate", *runs, "--data", str(files / "dev.tsv")]) == EXIT_BAD_INPUT
    said = capfd.readouterr().err
    assert "task.labels is ['1', '3', '4'] in" in said and "runs that predict the same" in said


def test_weights_of_runs_that_are_called_alike(tuned, files, tmp_path, capfd):
    other = shutil.copytree(tuned, tmp_path / "other" / tuned.name)
    words = ["evaluate", str(tuned), str(other), "--data", str(files / "dev.tsv")]
    for wrong in ("nan,1", "inf,1", "-1,2", "0,0", "1"):
        assert main([*words, f"--weights={wrong}"]) == EXIT_BAD_INPUT
        assert "give one of 0 or more a run" in capfd.readouterr().err
    out = tmp_path / "scores.json"
    assert main([*words, "--weights=3,1", "--out", str(out)]) == 0
    scores = json.loads(out.read_text())["scores"]
    assert list(scores) == [f"{tuned}/seed-0", f"{other}/seed-0", "together"]
    assert len({json.dumps(entry) for entry in scores.values()}) == 1  # one model, twice


def test_files_laid_out_otherwise_are_read_as_the_command_says(tuned, files, tmp_path, capfd):
    lines = [line.split("\t") for line in (files / "dev.tsv").read_text().splitlines()[1:]]
    odd = [(stars, text) for _, text, stars in lines] + [("9", "The old river 9.")]
    other = tmp_path / "other.csv"
    other.write_text("".join(f"{stars},{text}\n" for stars, text in odd))
    argv = ["evaluate", str(tuned), "--data", str(other)]
    layout = ["data.header=false", "data.text=2", "data.label=1"]
    assert main([*argv, *layout]) == EXIT_BAD_INPUT
    said = capfd.readouterr().err
    assert f"{other}:17: label '9' is not in task.labels: choose from: 1, 3, 5; correct" in said
    assert main([*argv, *layout, "data.skip_bad_rows=true"]) == 0
    assert "16 examples of " in (said := capfd.readouterr().out) and "1 left out" in said
    assert main([*argv, "tune.seeds=1"]) == EXIT_BAD_INPUT
    assert "a trained run keeps its config" in capfd.readouterr().err


def test_what_cannot_be_written_is_refused_before_the_work(tuned, files, tmp_path, capfd):
    dev = str(files / "dev.tsv")
    before = (files / "dev.tsv").read_bytes()
    predict = ["predict", str(tuned), "--input", dev, "--out"]
    evaluate = ["evaluate", str(tuned), "--data", dev, "--out"]
    for argv, says in (
        ([*predict, str(tmp_path / "no" / "p.jsonl")], "make it first"),
        ([*predict, str(tmp_path)], "is a directory"),
        ([*predict, dev], "is the file that is read"),
        ([*evaluate, "-"], "--out -: name a file"),
        ([*evaluate, str(tmp_path / "no" / "s.json")], "make it first"),
    ):
        assert main(argv) == EXIT_BAD_INPUT
        said = capfd.readouterr().err
        assert says in said and said.count("\n") == 1
    assert (files / "dev.tsv").read_bytes() == before and not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_regression_is_exported(files, trained, tmp_path):
    workdir = tmp_path / "ft"
    assert main(argv(files, workdir, trained, "task.family=regression")) == 0
    assert main(["export", str(workdir), "--out", str(tmp_path / "hf")]) == 0
    config = json.loads((tmp_path / "hf" / "config.json").read_text())
    assert (config["id2label"], config["problem_type"]) == ({"0": "score"}, "regression")
