"""Recipe, what --init brings, what is typed: the later one counts, in every verb."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bertjax.cli.main import _expand_home, _without_dashes, main
from bertjax.config import ModelConfig
from bertjax.finetuning.material import Start
from bertjax.pretrained import Pretrained
from bertjax.runs.directory import RunDirectory
from bertjax.runs.outcome import Run

ENCODER = ModelConfig(
    vocab_size=100,
    hidden_size=32,
    num_layers=2,
    num_heads=2,
    intermediate_size=64,
    max_positions=128,
    hidden_dropout=0.4,
    next_sentence_head=False,
)


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """Run a verb up to its work: returns the config with which that would begin."""
    found = []

    def work(cfg, workdir, *_, **__):
        found.append(cfg)
        return Run(RunDirectory(Path(workdir)), {})

    class Tokenized(Pretrained):
        def check_corpus(self, corpus):
            pass

    source = Tokenized(ENCODER, {}, None, "m")
    monkeypatch.setattr("bertjax.cli.pretrain.pretrain", work)
    monkeypatch.setattr("bertjax.cli.pretrain.open_pretrained", lambda *_: source)
    monkeypatch.setattr("bertjax.cli.finetune.finetune", work)
    monkeypatch.setattr("bertjax.cli.finetune._start", lambda *_: (ENCODER, Start("m", {}, None)))

    def run(verb: str, config: str, *argv: str):
        workplace = ["--config", config, "--workdir", str(tmp_path / "run")]
        assert main([verb, *workplace, *argv]) == 0
        return found.pop()

    return run


@pytest.mark.parametrize(("verb", "config"), [("pretrain", "bert_base"), ("finetune", "sst2")])
def test_the_recipe_then_the_encoder_then_what_was_typed(asked, verb, config):
    single = ["data.format=full_sentences", "data.phases.0.seq_len=64", "data.phases.1.seq_len=64"]
    single = single if verb == "pretrain" else []
    brought = asked(verb, config, "--init", "m", *single).model
    assert brought == replace(ENCODER, hidden_dropout=0.1)  # dropout is the recipe's
    typed = asked(verb, config, "--init", "m", *single, "model.hidden_dropout=0.3").model
    assert typed == replace(ENCODER, hidden_dropout=0.3)


@pytest.mark.parametrize(("verb", "config"), [("pretrain", "bert_base"), ("finetune", "sst2")])
def test_an_architecture_that_the_weights_do_not_have_is_refused(asked, capsys, verb, config):
    argv = [verb, "--config", config, "--workdir", "w", "--init", "m", "model.num_layers=4"]
    short = ["data.format=full_sentences", "data.phases.0.seq_len=64", "data.phases.1.seq_len=64"]
    assert main(argv + (short if verb == "pretrain" else [])) == 2
    assert "model.num_layers=4, but the model of m has 2" in capsys.readouterr().err


def test_no_pairs_is_one_wish_and_one_field(asked):
    for config, label in (("bert_base", "nsp"), ("albert_base", "sop_strict")):
        cfg = asked("pretrain", config, "data.format=full_sentences")
        assert cfg.data.pairing is None and not cfg.model.next_sentence_head
        kept = asked("pretrain", config, f"data.format=segment_pair+{label}_rows")
        assert kept.data.pairing.label == label and not kept.predicts_pairs
        assert not kept.model.next_sentence_head
    added = ("data.format=segment_pair+sop", "model.type_vocab_size=2")
    assert asked("pretrain", "roberta_base", *added).model.next_sentence_head


def test_a_head_that_the_weights_lack_is_made_where_pairs_are_predicted(asked):
    short = ("data.phases.0.seq_len=64", "data.phases.1.seq_len=64")
    assert asked("pretrain", "bert_base", "--init", "m", *short).model.next_sentence_head


def test_a_head_that_no_class_has_is_said_before_it_is_trained(asked, capfd):
    asked("finetune", "sst2", "--init", "m")
    assert "cannot be exported" not in capfd.readouterr().err
    asked("finetune", "sst2", "--init", "m", "head.pooling=mean")
    said = capfd.readouterr().err
    assert said.startswith("note   this cannot be exported as it is: head.pooling=mean: BertFor")


def test_fields_may_have_dashes(asked):
    for written in (["--train.steps=3"], ["--train.steps", "3"], ["train.steps=3"]):
        assert asked("pretrain", "bert_tiny", *written).train.steps == 3
    assert _without_dashes(["--out", "a.b", "--x.y"], ["--out"]) == ["--out", "a.b", "x.y="]


@pytest.mark.parametrize(
    ("given", "expanded"),
    [
        ("--out=~/c", "--out=/home/me/c"),
        ("data.corpus=~/c", "data.corpus=/home/me/c"),
        ("data.phases.0.x=~", "data.phases.0.x=/home/me"),
        ("a sentence=~/c", "a sentence=~/c"),
        ("~/c", "/home/me/c"),
        ("~", "/home/me"),
        ("~ [MASK]", "~ [MASK]"),
        ("x=a~b", "x=a~b"),
    ],
)
def test_a_home_after_an_equals_sign_is_expanded(monkeypatch, given, expanded):
    monkeypatch.setenv("HOME", "/home/me")
    assert _expand_home(given) == expanded


def test_a_model_that_no_class_holds_is_named_before_it_is_trained(asked, capsys):
    asked("pretrain", "bert_tiny", "model.activation=silu", "model.norm_kind=rms")
    said = capsys.readouterr().err
    assert "cannot be exported as it is: model.norm_kind=rms: BertForPreTraining" in said
    for recipe in ("bert_tiny", "modernbert_base", "electra_small", "budget_mini"):
        asked("pretrain", recipe)
        assert "cannot be exported" not in capsys.readouterr().err
