"""What would sink a grid is refused before its first step, in one line with the fix."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import tiny_grid
import tiny_run

from bertjax.ablate.check import check
from bertjax.cli.ablate import with_fields
from bertjax.cli.main import main
from bertjax.config import Arm, BudgetConfig, crossed
from bertjax.data.corpus import open_corpus
from bertjax.errors import UserError
from bertjax.terminal import count

TYPED = [
    (["seeds=1"], "seeds=1: use 2 to 1000; one seed says nothing of the noise between seeds"),
    (["budget.tokens=100"], "budget.tokens=100 is less than a step, which has 512"),
    (["budget.tokens=100", "budget.minutes=3"], "the budget is tokens and minutes: give one"),
    (["budget.tokens=0"], "the budget is empty: give one of"),
    (["control=nps"], "control='nps' is no arm: did you mean 'nsp'?"),
    (["decides=held_put"], "decides=held_put is not measured: did you mean 'held_out'?"),
    (["dat.corpus=x"], "dat.corpus is not an option: did you mean base.data.corpus?"),
    (["train.init=runs/x"], "the base recipe has train.init or train.pace"),
    (["probes.pairs=missing.jsonl"], "missing.jsonl: no such file"),
]


@pytest.mark.parametrize(("typed", "said"), TYPED, ids=lambda value: str(value)[:30])
def test_what_is_typed(typed, said, ablation, corpus, pairs, tmp_path, capsys):
    argv = tiny_grid.argv(ablation, tmp_path / "grid", corpus, pairs, *typed)
    assert main(argv) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
    assert not (tmp_path / "grid").exists()


ARMS = [
    (Arm("x", ("train.nsp=false",)), "arm x: train.nsp is not an option: did you mean train."),
    (Arm("x", ("masking.rate=15",)), "arm x: masking.rate=15.0 is out of range"),
    (Arm("x", ("train.steps=7",)), "arm x sets train.steps: the budget says how long cells are"),
    (Arm("x", ("train.minutes=7",)), "arm x sets train.minutes: the budget says how long"),
    (Arm("x", ("seed=7",)), "arm x sets seed: seeds are paired"),
    (Arm("x", ("data.corpus=y",)), "arm x sets data.corpus: held-out losses compare on one corpus"),
    (Arm("x", ("train.mesh.tensor=3",)), "arm x: train.mesh data=-1 fsdp=1 tensor=3 does not fit"),
    (
        Arm("x", ("model.attention=causal", "data.format=full_sentences")),
        "arm x: model.attention=causal has no masked LM",
    ),
    (Arm("x", ("data.format=segment_pair+nsp_rows",)), "arms off and x are the same run"),
    (Arm("x", ("data.workers=2",)), "arms nsp and x are the same run"),
    (Arm("x", ("masking.span_p=0.5",)), "arms nsp and x are the same run"),
    (
        Arm("x", ("model.max_positions=16", "data.phases.0.seq_len=16")),
        "arm x: model.max_positions=16, and the held-out rows of all arms are those of the base's "
        "last phase, 32 long",
    ),
]


@pytest.mark.parametrize(("arm", "said"), ARMS, ids=lambda value: str(value)[:60])
def test_an_arm(arm, said, cfg):
    with pytest.raises(UserError) as refused:
        check(replace(cfg, arms=(*cfg.arms, arm)))
    assert said in str(refused.value)


def test_arms_that_contradict_one_another(cfg):
    for arms, said in (
        ((Arm("a"),), "an ablation of 1 arms: give at least two"),
        ((Arm("a"), Arm("A")), "two have one name"),
        ((Arm("a"), Arm("b", against="b")), "arm b is compared with itself"),
        ((Arm("a"), Arm("b", against="c")), "against='c' is no arm"),
    ):
        with pytest.raises(UserError, match=said):
            replace(cfg, arms=arms, control="a")
    with pytest.raises(UserError, match="cannot be a folder"):
        Arm("../a")
    with pytest.raises(UserError, match="searches among one setting"):
        Arm("a", search=("optim.learning_rate=1",))
    with pytest.raises(UserError, match="'y-u' is no arm of the product: did you mean 'x-u'"):
        crossed({"x": []}, {"u": [], "v": []}, without=["y-u"])


def write(path, rows):
    lines = (json.dumps({"sentence_good": good, "sentence_bad": bad}) for good, bad in rows)
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def test_pairs_that_say_nothing(cfg, text, tmp_path):
    many = " ".join(["The quiet river opened the old engine."] * 9)
    sentence = text.read_text().splitlines()[0]
    for rows, said in (
        ([("It is so.", "It is so.")], "1 of 1 pairs are two equal sentences, such as 'It is so.'"),
        ([("It is so.", many)], "tokens, an arm 32 positions: shorten the sentence"),
        ([(sentence, "It is so.")], "bad.jsonl: all of it stands in the training text"),
        ([(" ", "It is so.")], "sentence_good is ' ', not a sentence"),
    ):
        path = write(tmp_path / "bad.jsonl", rows)
        with pytest.raises(UserError) as refused:
            check(with_fields(cfg, [f"probes.pairs={path}"]))
        assert said in str(refused.value)
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(UserError, match="empty"):
        check(with_fields(cfg, [f"probes.pairs={tmp_path / 'empty.jsonl'}"]))
    kept = write(tmp_path / "one.jsonl", [(sentence, "It is so."), ("So it is.", "It so is.")])
    material = check(with_fields(cfg, [f"probes.pairs={kept}"]))
    assert material.probes[1].name == "one" and material.probes[1].left_out == 1
    assert [row[2] for row in material.probes[1].material()] == ["So it is."]


def test_what_takes_time_is_said(cfg, corpus):
    said: list[str] = []
    check(cfg, said.append)
    tokens = count(len(open_corpus(corpus, "train").tokens))
    assert said == [f"looking for minimal in {tokens} tokens of training text"]


def test_a_directory_of_something_else(ablation, corpus, pairs, capsys):
    before = tiny_run.snapshot(corpus)
    assert main(tiny_grid.argv(ablation, corpus, corpus, pairs)) == 2
    assert "is a corpus of `bertjax prepare`, not a grid of" in capsys.readouterr().err
    assert tiny_run.snapshot(corpus) == before
    assert main(["ablate", "--report", str(corpus)]) == 2
    assert "give a grid of `bertjax ablate`" in capsys.readouterr().err


def test_options_that_do_not_go_together(ablation, corpus, pairs, tmp_path, capsys):
    for argv, said in (
        (["ablate"], "give --config FILE and --workdir DIRECTORY, or --report WORKDIR"),
        (["ablate", "--report", "x", "seeds=3"], "--report WORKDIR stands alone"),
        (
            tiny_grid.argv(ablation, tmp_path / "x", corpus, pairs, "--cell", "4"),
            "--cell 4: the grid has the cells 0 to 3",
        ),
    ):
        assert main(argv) == 2
        assert said in capsys.readouterr().err


def test_a_budget_that_is_typed_replaces_the_recipes(cfg):
    assert with_fields(cfg, ["budget.minutes=3"]).budget == BudgetConfig(minutes=3)


def test_a_job_whose_cell_failed_has_failed(corpus, tmp_path, capsys):
    """A scheduler looks at the exit code alone."""
    argv = ["ablate", "--config", "optimizer", "--workdir", str(tmp_path / "grid")]
    assert main([*argv, "--cell", "12", f"data.corpus={corpus}"]) == 1
    assert "needs the setting that cells 0 to 11 search for" in capsys.readouterr().err
