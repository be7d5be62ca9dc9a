"""`pretrain` as a function: in a thread, stopped and gone on with, from weights that then move."""

from __future__ import annotations

import shutil
import threading
from dataclasses import replace

import jax
import pytest
import tiny_run

from bertjax import model
from bertjax.config import (
    DataConfig,
    FinetuneConfig,
    ModelConfig,
    OptimConfig,
    Phase,
    PretrainConfig,
    TrainConfig,
)
from bertjax.data.corpus import describe_corpus
from bertjax.errors import UserError
from bertjax.finetuning.run import finetune
from bertjax.pretrained import Pretrained
from bertjax.text.tokenizer_training import train_tokenizer
from bertjax.train.loop import pretrain


@pytest.fixture(scope="module")
def cfg(corpus) -> PretrainConfig:
    return PretrainConfig(
        model=ModelConfig(
            hidden_size=32, num_layers=1, num_heads=2, intermediate_size=64, max_positions=16
        ),
        data=DataConfig(
            corpus=str(corpus), format="full_sentences", phases=(Phase(16, 16),), short_seq_prob=0
        ),
        optim=OptimConfig(learning_rate=3e-3),
        train=TrainConfig(steps=6, log_every=2, eval_every=3, eval_rows=16, checkpoint_every=2),
    )


@pytest.fixture(scope="module")
def start_from(cfg) -> Pretrained:
    size = describe_corpus(cfg.data.corpus)["vocab_size"]
    encoder = replace(cfg.model, vocab_size=size, next_sentence_head=False)
    params = jax.device_get(jax.jit(model.init, static_argnums=0)(encoder, jax.random.key(5)))
    return Pretrained(encoder, params, None, "a model")


@pytest.mark.slow
def test_a_signal_that_comes_in_the_last_step_stops_nothing(cfg, tmp_path):
    """Such a run has all that another has; so has one that is over when it is started."""
    unbroken = pretrain(cfg, tmp_path / "unbroken")
    other = tmp_path / "unbroken" / "sst2" / "metrics.jsonl"  # of another run, below this one
    other.parent.mkdir()
    other.write_text('{"kind": "evaluation", "step": 9, "loss": 1.0}\n')
    asked = iter([None] * 5 + ["SIGTERM"])
    ended = pretrain(cfg, tmp_path / "run", stop=lambda: next(asked))
    assert ended.stopped is None and ended.results == unbroken.results
    kept = (tmp_path / "run" / "review.json").read_bytes()
    assert kept == (tmp_path / "unbroken" / "review.json").read_bytes()
    for run in ("run", "unbroken"):
        (tmp_path / run / "review.json").unlink()
        again = pretrain(cfg, tmp_path / run)
        assert again.results == unbroken.results
        assert (tmp_path / run / "review.json").read_bytes() == kept
        assert len(again.metrics) == len(ended.metrics)


def test_what_is_copied_from_a_read_only_corpus_can_be_written_again(cfg, corpus, tmp_path):
    data = shutil.copytree(corpus, tmp_path / "corpus")
    for path in data.rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    cfg = replace(cfg, data=replace(cfg.data, corpus=str(data)))
    cfg = replace(cfg, train=replace(cfg.train, steps=1))
    pretrain(cfg, tmp_path / "run")
    kept = [path for path in (tmp_path / "run").rglob("*") if not path.is_symlink()]
    assert [path for path in kept if not path.stat().st_mode & 0o200] == []


@pytest.mark.slow
def test_stopped_in_a_thread_and_gone_on_with_without_the_weights(cfg, start_from, tmp_path, capfd):
    cfg = replace(cfg, train=replace(cfg.train, init="m"))
    unbroken = pretrain(cfg, tmp_path / "unbroken", start_from=start_from)
    assert unbroken.stopped is None and unbroken.results["step"] == 6

    asked, found = iter([None, None, None]), []
    worker = threading.Thread(
        target=lambda: found.append(
            pretrain(
                cfg, tmp_path / "run", start_from=start_from, stop=lambda: next(asked, "enough")
            )
        )
    )
    worker.start()
    worker.join()
    assert found[0].stopped == "enough" and found[0].results["step"] == 4

    moved = replace(cfg, train=replace(cfg.train, init="somewhere/else/m"))
    moved = replace(moved, model=start_from.cfg.with_dropout_of(cfg.model))
    ended = pretrain(moved, tmp_path / "run")
    assert ended.stopped is None
    tiny_run.assert_same_bits(
        tiny_run.state(tmp_path / "run"), tiny_run.state(tmp_path / "unbroken")
    )
    kinds = [(row["kind"], row["step"]) for row in ended.metrics]
    assert kinds == [(row["kind"], row["step"]) for row in unbroken.metrics]
    assert ended.results["evaluation"] == unbroken.results["evaluation"]
    assert capfd.readouterr().err == ""  # silent without a terminal


@pytest.mark.slow
def test_other_weights_are_refused_whatever_they_are_called(cfg, start_from, tmp_path):
    cfg = replace(cfg, train=replace(cfg.train, init="m", steps=2))
    pretrain(cfg, tmp_path / "run", start_from=start_from)
    other = replace(start_from, params=jax.tree.map(lambda x: x + 1, start_from.params))
    with pytest.raises(UserError, match=r"other weights \(--init\)"):
        pretrain(cfg, tmp_path / "run", start_from=other)


def test_what_a_start_lacks_is_refused_before_the_first_step(cfg, start_from, tmp_path):
    """From a program as from the command: weights that are named, and ids that mean the same."""
    named = replace(cfg, train=replace(cfg.train, init="m"))
    with pytest.raises(UserError, match=r"train\.init=m without its weights: give start_from"):
        pretrain(named, tmp_path / "run")
    other = train_tokenizer("wordpiece", ["another text with other words"] * 9, 60)
    with pytest.raises(UserError, match=r"was prepared with tokenizer .*prepare the text again"):
        pretrain(cfg, tmp_path / "run", start_from=replace(start_from, tokenizer=other))
    with pytest.raises(UserError, match=r"start_from .*none is not there"):
        pretrain(cfg, tmp_path / "run", start_from=tmp_path / "none")


def test_a_config_of_something_else_is_refused(cfg, tmp_path):
    with pytest.raises(UserError, match="a FinetuneConfig is no PretrainConfig: use finetune"):
        pretrain(FinetuneConfig(), tmp_path / "run")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="a PretrainConfig is no FinetuneConfig: use pretrain"):
        finetune(cfg, tmp_path / "run", "x")
    assert not (tmp_path / "run").exists()
