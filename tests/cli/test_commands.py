"""Every verb on what the verb before it made."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_run
from safetensors.numpy import load_file
from tiny_run import RECIPE, metrics, pretrain_argv

from bertjax.cli.main import main
from bertjax.data.corpus import describe_corpus
from bertjax.errors import EXIT_BAD_INPUT
from bertjax.objectives.presets import GOOGLE_WWM
from bertjax.pretrained import open_pretrained, run_config
from bertjax.runs.directory import open_run
from bertjax.runs.kinds import Kind
from bertjax.terminal import count

MASKED = "The [MASK] river opened the house near the old letter."


@pytest.fixture(scope="session")
def reexported_corpus(once, text, exported) -> Path:
    """The same text, prepared with the exported tokenizer."""
    return once("reexported", lambda out: tiny_run.prepare(text, out, "--tokenizer", str(exported)))


# From text to a Hugging Face directory and back.


def test_the_run_directory_describes_the_run(trained, recipe, corpus):
    cfg = run_config(trained)
    assert cfg == tiny_run.stored_config(trained)
    assert cfg.data.corpus == str(corpus)
    assert cfg.model.vocab_size == describe_corpus(corpus)["vocab_size"]
    names = {path.name for path in trained.iterdir()}
    assert names == {
        "best", "checkpoints", "command.txt", "config.json", "environment.json", "lock",
        "metrics.jsonl", "review.json", "tokenizer",
    }  # fmt: skip
    assert [row["step"] for row in metrics(trained, "train")] == [4, 8, 12, 16, 20, 24]


def test_info_of_a_corpus_a_run_and_an_export(corpus, trained, exported, capsys):
    counted: set[str] = set()
    for path, facts in (
        (corpus, ("corpus, every file verified", "149 pieces", "bytes of text")),
        (trained, ("1 layers × 32", "15 %, by piece", "step 24, verified", "best masked lm loss")),
        (exported, ("Hugging Face directory", "149 pieces", "missing")),
    ):
        capsys.readouterr()
        assert main(["info", str(path)]) == 0
        said = capsys.readouterr().out
        assert all(fact in said for fact in facts), said
        counted.update(re.findall(r"(\S+) parameters", said))
    # A run counts what its export holds, and not the rows that pad its vocabulary.
    (number,) = re.findall(r"parameters \| ([\d,]+)", (exported / "README.md").read_text())
    assert counted == {count(int(number.replace(",", "")))}


def test_fill_mask_of_a_run_and_of_its_export_agree(trained, exported, capsys):
    said = []
    for path in (trained, exported):
        capsys.readouterr()
        assert main(["fill-mask", str(path), MASKED, "The old [MASK] .", "--top", "3"]) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1]
    lines = said[0].splitlines()
    assert lines[0] == MASKED and re.fullmatch(r"  token 2: (\S+ 0\.\d{3}(  |$)){3}", lines[1])


def test_a_finished_run_stays_as_it_is(trained_copy, recipe, corpus, capfd):
    before = metrics(trained_copy)
    assert main(pretrain_argv(trained_copy, recipe, corpus)) == 0
    assert "resuming after step 24" in capfd.readouterr().err
    assert metrics(trained_copy) == before
    assert (trained_copy / "command.txt").read_text().count("\n") == 2


@pytest.mark.slow
def test_a_run_is_rebuilt_from_its_config_json(tmp_path, trained, corpus, capfd):
    """The same numbers without executing the recipe."""
    workdir = tmp_path / "run"
    assert (
        main(["pretrain", "--config", str(trained / "config.json"), "--workdir", str(workdir)]) == 0
    )
    assert metrics(workdir) == metrics(trained)


@pytest.mark.slow
def test_import_gives_the_same_bits_and_training_goes_on_from_them(
    tmp_path, recipe, trained, exported, reexported_corpus, capfd
):
    imported = tmp_path / "imported"
    assert main(["import", str(exported), "--out", str(imported)]) == 0
    assert "new      " not in capfd.readouterr().out
    again = tmp_path / "again"
    assert main(["export", str(imported), "--out", str(again)]) == 0
    ours, theirs = (load_file(p / "model.safetensors") for p in (again, exported))
    assert ours.keys() == theirs.keys()
    assert all(ours[name].tobytes() == theirs[name].tobytes() for name in ours)

    options = ("train.steps=2", "train.log_every=1", "train.eval_every=1")
    argv = pretrain_argv(imported, recipe, reexported_corpus, *options)
    assert main(argv) == 0
    begun = metrics(imported)
    report, evaluation = (row for row in begun if row["kind"] != "state" and row["step"] < 2)
    assert_continues(report["masked_lm_loss"], trained)
    assert evaluation["kind"] == "evaluation"
    assert_continues(evaluation["masked_lm_loss"], trained)
    capfd.readouterr()
    assert main(argv) == 0
    assert "resuming after step 2" in capfd.readouterr().err
    # Killed after its first evaluation and before its first checkpoint, it begins as before.
    shutil.rmtree(imported / "checkpoints")
    assert main(argv) == 0
    assert metrics(imported) == begun


def assert_continues(loss: float, trained: Path) -> None:
    """A first loss is near where `trained` ended and far from where it began."""
    reports = metrics(trained, "train")
    began, ended = reports[0]["masked_lm_loss"], reports[-1]["masked_lm_loss"]
    assert abs(loss - ended) < 0.6 < began - loss


def test_init_takes_the_weights_of_a_run_or_of_a_directory(
    tmp_path, corpus, trained, exported, reexported_corpus
):
    # The recipe's architecture gives way to that of the weights.
    recipe = tmp_path / "other.py"
    recipe.write_text(
        RECIPE.replace("size=32, num_layers=1, num_heads=2", "size=48, num_layers=2, num_heads=3")
    )
    first = []
    for name, source, data in (("a", trained, corpus), ("b", exported, reexported_corpus)):
        workdir = tmp_path / name
        argv = pretrain_argv(workdir, recipe, data, "train.log_every=1", "train.steps=1")
        argv += ["--init", str(source)]
        assert main(argv) == 0
        assert run_config(workdir).model == run_config(trained).model
        first.append(metrics(workdir, "train")[0]["masked_lm_loss"])
    assert_continues(first[0], trained)
    np.testing.assert_allclose(first[0], first[1], atol=1e-6)


def test_what_a_run_began_from_belongs_to_it(tmp_path, recipe, corpus, trained, capfd):
    argv = pretrain_argv(tmp_path / "run", recipe, corpus, "train.steps=1", "train.eval_every=9")
    assert main([*argv, "--init", str(trained), "model.num_layers=3"]) == EXIT_BAD_INPUT
    assert "model.num_layers=3, but the model of" in capfd.readouterr().err
    assert main([*argv, "--init", str(trained)]) == 0
    assert f"start  weights and architecture of {trained}" in capfd.readouterr().err
    assert main(argv) == EXIT_BAD_INPUT
    assert "train.init" in capfd.readouterr().err


def test_the_hub_reads_what_a_card_says_of_a_pretrained_model(trained, tmp_path, capfd):
    hub = pytest.importorskip("huggingface_hub")
    argv = ["export", str(trained), "--license", "mit", "--language", "en"]
    told = ["--dataset", "wikipedia,someone/books", "--base-model", "someone/bert"]
    assert main([*argv, "--out", str(tmp_path / "hf"), *told]) == 0
    data = hub.ModelCard.load(tmp_path / "hf" / "README.md").data
    assert data.datasets == ["wikipedia", "someone/books"] and data.base_model == "someone/bert"
    assert (data.license, data.language, data.pipeline_tag) == ("mit", ["en"], "fill-mask")
    assert data.metrics == ["accuracy", "loss"] and data.model_name == "hf"
    (evaluation,) = metrics(trained, "evaluation")[-1:]
    found = {result.metric_name: result.metric_value for result in data.eval_results}
    assert found == {
        name.replace("_", " "): value
        for name, value in evaluation.items()
        if name.endswith(("_accuracy", "_loss"))
    }
    for result in data.eval_results:
        assert result.task_type == "fill-mask" and result.dataset_split == "validation"
        assert result.dataset_type == "wikipedia" and result.dataset_name.startswith("held-out")
    assert main([*argv, "--out", str(tmp_path / "plain")]) == 0
    data = hub.ModelCard.load(tmp_path / "plain" / "README.md").data
    assert data.datasets is None and data.base_model is None
    hub.utils.validate_repo_id(data.eval_results[0].dataset_type)
    for option, given in (
        ("--dataset", "my data"),
        ("--base-model", "a/b/c"),
        ("--dataset", "a--b"),
    ):
        assert main([*argv, "--out", str(tmp_path / "no"), option, given]) == EXIT_BAD_INPUT
        assert f"{option} {given}: this is no identifier" in capfd.readouterr().err
        with pytest.raises(hub.errors.HFValidationError):
            hub.utils.validate_repo_id(given)


def test_a_directory_of_sentence_transformers_says_what_its_weights_know(trained, tmp_path, capfd):
    argv = ["export", str(trained), "--out", str(tmp_path / "v")]
    assert main([*argv, "--sentence-transformers", "--pooling", "cls", "--normalize"]) == 0
    assert "BertModel" in capfd.readouterr().out
    card = (tmp_path / "v" / "README.md").read_text()
    assert (
        "is the last state of [CLS], scaled to length 1. The weights were trained with [CLS] "
        in card
    )
    assert 'pipeline_tag: "sentence-similarity"' in card and "model-index" not in card
    assert (tmp_path / "v" / "2_Normalize").is_dir()
    for options, says in (
        (["--pooling", "cls"], "--pooling without --sentence-transformers"),
        (["--normalize"], "--normalize without --sentence-transformers"),
        (["--sentence-transformers", "--peft"], "--peft with --sentence-transformers"),
    ):
        assert main(["export", str(trained), "--out", str(tmp_path / "w"), *options]) == 2
        assert says in capfd.readouterr().err
    assert main(["import", str(tmp_path / "v"), "--out", str(tmp_path / "again")]) == 0
    argv = ["export", str(tmp_path / "again"), "--out", str(tmp_path / "u")]
    assert main([*argv, "--sentence-transformers"]) == 0
    card = (tmp_path / "u" / "README.md").read_text()
    assert "the mean of its tokens' last states" in card and "began, is not known" in card


def test_an_imported_model_is_not_called_random(tmp_path, exported, capfd):
    assert main(["import", str(exported), "--out", str(tmp_path / "run")]) == 0
    assert main(["export", str(tmp_path / "run"), "--out", str(tmp_path / "hf")]) == 0
    card = (tmp_path / "hf" / "README.md").read_text()
    assert "Began from weights imported" in card and "not trained further" in card
    assert "random-init" not in card and "Configuration" not in card
    assert main(["info", str(tmp_path / "run")]) == 0
    assert "recipe" not in capfd.readouterr().out


@pytest.mark.slow
def test_a_next_sentence_head_that_nothing_would_train_is_not_made(tmp_path, recipe, corpus, capfd):
    argv = pretrain_argv(tmp_path / "run", recipe, corpus, "train.steps=4")
    assert main([*argv, "data.format=segment_pair+nsp_rows"]) == 0
    assert "nsp acc" not in capfd.readouterr().err
    assert "next_sentence_loss" not in metrics(tmp_path / "run", "evaluation")[0]
    assert main(["export", str(tmp_path / "run"), "--out", str(tmp_path / "hf")]) == 0
    config = json.loads((tmp_path / "hf" / "config.json").read_text())
    assert config["architectures"] == ["BertForMaskedLM"]


@pytest.mark.slow
def test_a_masking_variant_by_name(tmp_path, recipe, corpus, capfd):
    argv = pretrain_argv(tmp_path / "run", recipe, corpus, "train.steps=1", "masking.rate=0.2")
    assert main([*argv, "--masking", "googel_wwm"]) == EXIT_BAD_INPUT
    assert "did you mean 'google_wwm'" in capfd.readouterr().err
    assert main([*argv, "--masking", "google_wwm"]) == 0
    assert run_config(tmp_path / "run").masking == replace(GOOGLE_WWM, rate=0.2)


# What must not go on.


def test_a_second_run_in_the_directory_is_refused(trained_copy, recipe, corpus, refuse):
    with open_run(trained_copy, Kind.PRETRAINING):
        said = refuse(*pretrain_argv(trained_copy, recipe, corpus))
    assert "is in use by pid" in said


def test_a_changed_config_is_refused_with_the_difference(trained_copy, recipe, corpus, refuse):
    before = (trained_copy / "config.json").read_bytes()
    changed = ("optim.learning_rate=1e-3", "train.eval_every=3")
    said = refuse(*pretrain_argv(trained_copy, recipe, corpus, *changed))
    assert "(optim.learning_rate: 0.003 -> 0.001)" in said and "eval_every" not in said
    assert (trained_copy / "config.json").read_bytes() == before


@pytest.mark.mesh
def test_what_may_change_may_change(tmp_path, trained_copy, recipe, corpus, capfd):
    elsewhere = shutil.copytree(corpus, tmp_path / "elsewhere")
    options = (
        "train.log_every=3",
        "train.keep_checkpoints=1",
        "train.mesh.fsdp=2",
        "data.prefetch=1",
    )
    assert main(pretrain_argv(trained_copy, recipe, elsewhere, *options)) == 0
    assert "resuming after step 24" in capfd.readouterr().err
    assert run_config(trained_copy).data.corpus == str(elsewhere)


@pytest.mark.parametrize("vocabulary", ["150", "140"])
def test_a_corpus_of_another_tokenizer_is_refused(
    tmp_path, trained_copy, recipe, text, vocabulary, refuse
):
    """Of the same size too: ids would silently mean other words."""
    other = tiny_run.prepare(
        text, tmp_path / "other", "--vocab-size", vocabulary, "--tokenizer", "bpe"
    )
    kept = open_pretrained(trained_copy).tokenizer
    said = refuse(*pretrain_argv(trained_copy, recipe, other))
    assert "tokenizer fingerprint" in said and "point data.corpus at" in said
    assert open_pretrained(trained_copy).tokenizer.fingerprint == kept.fingerprint
    assert str(other) not in (trained_copy / "config.json").read_text()
    new = pretrain_argv(tmp_path / "new", recipe, other)
    said = refuse(*new, "--init", trained_copy)
    assert "prepare the text again with --tokenizer" in said
    assert not (tmp_path / "new").exists()


def test_a_replaced_corpus_is_refused(tmp_path, trained_copy, recipe, exported, refuse):
    text = tiny_run.write_text(tmp_path / "other.txt", seed=1)
    other = tiny_run.prepare(
        text, tmp_path / "other", "--tokenizer", str(trained_copy / "tokenizer")
    )
    said = refuse(*pretrain_argv(trained_copy, recipe, other))
    assert "corpus identity" in said
