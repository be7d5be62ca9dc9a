"""A run that reads two corpora by weight, other weights in each phase."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import tiny_run

from bertjax.cli.main import main
from bertjax.data.corpus import describe_corpus
from bertjax.errors import EXIT_BAD_INPUT, EXIT_NON_FINITE

pytestmark = pytest.mark.slow

WEIGHTS = ((0.75, 0.25), (0.0, 1.0))
PHASES = ", ".join(f"Phase(32, 16, 0.5, weights={weights})" for weights in WEIGHTS)
RECIPE = tiny_run.RECIPE.replace("(Phase(32, 16),)", f"({PHASES})")


@pytest.fixture(scope="session")
def recipe(once) -> Path:
    return once("weighted.py", lambda path: path.write_text(RECIPE))


@pytest.fixture(scope="session")
def other(once, corpus) -> Path:
    """Other text of the same kind, prepared with the tokenizer of `corpus`."""

    def make(out: Path) -> None:
        text = tiny_run.write_text(out.parent / "other.txt", documents=120, seed=7)
        tiny_run.prepare(text, out, "--tokenizer", str(corpus / "tokenizer"))

    return once("domain", make)


def argv(workdir: Path, recipe: Path, corpora: tuple[Path, ...], *options: str) -> list[str]:
    """The arguments of `bertjax pretrain`; `corpora` are equal in weight but for the phases'."""
    listed = json.dumps([{"path": str(path)} for path in corpora])
    given = ["--config", str(recipe), "--workdir", str(workdir), f"data.corpora={listed}"]
    return ["pretrain", *given, *options]


@pytest.fixture(scope="session")
def mixed(once, recipe, corpus, other) -> Path:
    def make(workdir: Path) -> None:
        assert main(argv(workdir, recipe, (corpus, other))) == 0

    return once("mixed", make)


def test_held_out_loss_is_reported_by_corpus_and_chosen_by_their_weights(mixed, capfd):
    rows = tiny_run.metrics(mixed, "evaluation")
    assert [(row["step"], row["phase"]) for row in rows] == [(6, 0), (12, 0), (18, 1), (24, 1)]
    for row in rows:
        for name in ("masked_lm_loss", "masked_lm_accuracy", "unigram_entropy"):
            own = [row[f"{corpus}/{name}"] for corpus in ("corpus", "domain")]
            weights = WEIGHTS[row["phase"]]
            expected = sum(w * x for w, x in zip(weights, own, strict=True))
            assert row[name] == pytest.approx(expected) and own[0] != own[1]
    best = min(rows[2:], key=lambda row: row["masked_lm_loss"])
    assert tiny_run.newest_step(mixed / "best") == best["step"]
    assert main(["info", str(mixed)]) == 0
    said = capfd.readouterr().out
    assert "16×32 (weights 0.75,0.25), then 16×32 (weights 0,1)" in said
    assert "best domain/masked lm loss" in said
    # The corpus that the last phase leaves out is measured all the same.
    assert rows[-1]["corpus/masked_lm_loss"] > 0


@pytest.mark.parametrize("step", [10, 15])
def test_it_resumes_to_the_same_bits_wherever_its_corpora_are(
    tmp_path, mixed, recipe, corpus, other, step
):
    workdir = tiny_run.rewind(mixed, tmp_path / "run", step)
    moved = shutil.copytree(other, tmp_path / "elsewhere" / "domain")
    assert main(argv(workdir, recipe, (corpus, moved), "data.workers=2")) == 0
    tiny_run.assert_same_bits(tiny_run.state(workdir), tiny_run.state(mixed))
    assert tiny_run.metrics(workdir) == tiny_run.metrics(mixed)


def test_other_corpora_are_another_run(tmp_path, mixed, recipe, corpus, other, capfd):
    workdir = shutil.copytree(mixed, tmp_path / "run")
    assert main(argv(workdir, recipe, (other, corpus))) == EXIT_BAD_INPUT
    identities = ",".join(describe_corpus(path)["identity"][:12] for path in (corpus, other))
    said = capfd.readouterr().err
    assert f"was trained with corpus identity {identities}, the corpus has" in said
    heavier = ("data.corpora.0.weight=2",)
    assert main(argv(workdir, recipe, (corpus, other), *heavier)) == EXIT_BAD_INPUT
    assert "data.corpora.0.weight: 1.0 -> 2.0" in capfd.readouterr().err


def test_a_corpus_of_another_tokenizer_is_refused_and_the_fix_works(
    tmp_path, recipe, corpus, text, capfd
):
    stranger = tiny_run.prepare(text, tmp_path / "stranger", "--vocab-size", "140")
    capfd.readouterr()
    run = argv(tmp_path / "run", recipe, (corpus, stranger), "train.steps=1")
    assert main(run) == EXIT_BAD_INPUT
    said = capfd.readouterr().err
    assert said.count("\n") == 1 and f"{stranger} was prepared with tokenizer" in said
    fix = f"--tokenizer {corpus}/tokenizer"
    assert said.rstrip().endswith(fix) and not (tmp_path / "run").exists()
    again = tiny_run.prepare(text, tmp_path / "again", *fix.split())
    assert describe_corpus(again)["tokenizer"] == describe_corpus(corpus)["tokenizer"]


def test_bench_and_plan_take_them(tmp_path, recipe, corpus, other, monkeypatch):
    monkeypatch.setattr("bertjax.plan.gpu.can_compile", lambda: False)
    listed = f"data.corpora={json.dumps([{'path': str(path)} for path in (corpus, other)])}"
    assert main(["plan", "--config", str(recipe), "--topology", "h100:1", listed]) == 0
    out = tmp_path / "bench.json"
    options = ("--steps", "4", "--no-parts", "--json", str(out), listed)
    assert main(["bench", "--config", str(recipe), *options]) == 0
    assert json.loads(out.read_text())["text"] == f"{corpus}, {other}"


def test_rows_of_a_bad_batch_are_named_by_corpus(tmp_path, recipe, corpus, other):
    diverging = ("optim.learning_rate=100", "optim.weight_decay=10", "optim.schedule=constant")
    options = (*diverging, "train.max_bad_steps=3", "train.steps=200")
    assert main(argv(tmp_path / "run", recipe, (corpus, other), *options)) == EXIT_NON_FINITE
    bad = json.loads((tmp_path / "run" / "bad_batch.json").read_text())
    assert len(bad["epoch_and_row"]) == len(bad["corpus"]) == 16
    if bad["step"] <= 100:  # in the first phase
        assert bad["corpus"].count("corpus") == 12 and bad["corpus"].count("domain") == 4
