"""Evaluation sees every held-out row once, with masks that depend on nothing but the row."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import jax
import numpy as np
import pytest
import scipy.stats
import tiny_model
from tiny_model import ROW, ROWS, RUN, SPECIAL, VOCAB

from bertjax import model
from bertjax.config import MaskingConfig, Phase, PretrainConfig
from bertjax.objectives.choice import objective_of
from bertjax.train.data import bits_per_byte, unigram_entropy
from bertjax.train.evaluate import evaluate, make_evaluation_step, rows_at_once, together
from bertjax.train.state import fresh_state

COUNT = 2 * ROWS + 4  # rows: two full batches, and one of four rows and padding


@cache
def params() -> model.Params:
    return jax.device_get(fresh_state(RUN, tiny_model.mesh()).params)


@cache
def compiled(cfg: PretrainConfig, shape: tuple[int, int, int]):
    mesh = tiny_model.mesh(*shape)
    return mesh, make_evaluation_step(cfg, objective_of(cfg, SPECIAL), mesh)


def results(cfg: PretrainConfig = RUN, shape: tuple[int, int, int] = (1, 1, 1), rows: int = COUNT):
    mesh, step = compiled(cfg, shape)
    weights = params()  # made on a mesh of its own
    with jax.set_mesh(mesh):
        at_once = rows_at_once(cfg, mesh, cfg.data.phases[0].batch_size)
        return evaluate(step, weights, tiny_model.source(cfg.data), mesh, rows, at_once)


def test_evaluation_repeats_bit_for_bit():
    assert results() == results()
    assert set(results()) == {
        "masked_lm_loss",
        "masked_lm_accuracy",
        "next_sentence_loss",
        "next_sentence_accuracy",
    }


def test_a_short_last_batch_weighs_what_it_holds():
    """Batches of four divide the rows, so that one has no padding anywhere."""
    small = replace(RUN, data=replace(RUN.data, phases=(Phase(RUN.data.phases[0].seq_len, 4),)))
    assert results() == pytest.approx(results(small), abs=1e-6)
    assert results() != pytest.approx(results(rows=2 * ROWS), abs=1e-4)


@pytest.mark.mesh
def test_eight_devices_another_seed_masking_and_dropout_give_the_same():
    """None of them is the held-out data's business."""
    other = replace(
        RUN,
        seed=1,
        masking=MaskingConfig(unit="span", rate=0.5),
        model=replace(RUN.model, hidden_dropout=0.5, attention_dropout=0.5),
    )
    assert results(other, (2, 2, 2)) == pytest.approx(results(), abs=1e-6)


def test_more_rows_than_there_are_means_all():
    rows = tiny_model.source().rows_per_epoch
    assert results(rows=rows) == results(rows=10 * rows)


@pytest.mark.mesh
@pytest.mark.parametrize(
    ("asked", "accumulate", "at_once"),
    [(1024, 1, 16), (1024, 4, 4), (3, 1, 8), (3, 2, 8), (9, 1, 16)],
)
def test_no_more_rows_at_once_than_training_takes_or_than_are_asked_for(asked, accumulate, at_once):
    """On eight devices, whose share is a whole row each."""
    cfg = replace(RUN, train=replace(RUN.train, accumulate=accumulate, eval_rows=asked))
    ways = 8 if at_once >= 8 else 4
    mesh = tiny_model.mesh(ways)
    assert rows_at_once(cfg, mesh, ROWS) == at_once


def test_micro_batches_give_what_whole_batches_give():
    cut = replace(RUN, train=replace(RUN.train, accumulate=4))
    assert results(cut) == pytest.approx(results(), abs=1e-6)


def test_fresh_parameters_know_nothing():
    assert results()["masked_lm_loss"] == pytest.approx(np.log(VOCAB), abs=0.5)


@pytest.mark.parametrize("attention", ["full", "causal"])
@pytest.mark.parametrize("rows", [3, COUNT, 10_000])
def test_unigram_entropy_is_that_of_what_is_predicted_in_the_very_rows(rows, attention):
    cfg = RUN.in_phase(Phase(attention=attention, seq_len=ROW))
    left_out = objective_of(cfg, SPECIAL).never_predicted
    source = tiny_model.source()
    batch = source.in_order(0, rows, min(rows, source.rows_per_epoch))
    tokens = batch["tokens"][batch["segments"] != 0]
    never = (SPECIAL.cls, SPECIAL.sep) if attention == "full" else (SPECIAL.cls,)
    predicted = tokens[~np.isin(tokens, never)]
    expected = scipy.stats.entropy(np.unique(predicted, return_counts=True)[1])
    assert unigram_entropy(source, rows, left_out) == pytest.approx(expected)


def test_unigram_entropy_of_known_frequencies():
    class Rows:
        rows_per_epoch = 2

        def in_order(self, first, count, size, rows):
            tokens = np.array([[2, 7, 7, 3], [2, 7, 9, 3]])
            return {"tokens": tokens, "segments": np.ones_like(tokens)}

    expected = 0.75 * np.log(4 / 3) + 0.25 * np.log(4)
    assert unigram_entropy(Rows(), 2, (SPECIAL.cls, SPECIAL.sep)) == pytest.approx(expected)


def test_of_several_corpora_all_are_named_and_the_mean_goes_by_their_shares():
    results = {"a": {"loss": 2.0, "acc": 0.5}, "b": {"loss": 4.0, "acc": 0.1}}
    found = together(results, (1, 3))
    assert found == {
        "loss": 3.5, "acc": pytest.approx(0.2),
        "a/loss": 2.0, "a/acc": 0.5, "b/loss": 4.0, "b/acc": 0.1,
    }  # fmt: skip
    assert together({"a": results["a"]}, (1,)) == results["a"]
    assert together(results, (1, 0))["loss"] == 2.0
    results["b"]["bits"] = 1.0  # which only one corpus has
    found = together(results, (1, 3))
    assert "bits" not in found and found["b/bits"] == 1.0


def test_bits_a_byte_are_those_of_the_whole_split():
    """A loss that is the same at each token costs the split loss × tokens nats."""
    corpus = replace(tiny_model.corpus(), text_bytes=4321)
    found = bits_per_byte(corpus, objective_of(RUN, SPECIAL), {"masked_lm_loss": 2.5})
    expected = 2.5 * len(corpus.tokens) * np.log2(np.e) / 4321
    assert found == {"bits_per_byte": pytest.approx(expected)}


def test_no_bits_a_byte_where_bytes_are_not_known_or_what_is_predicted_is_no_text():
    loss = {"masked_lm_loss": 2.5, "causal_lm_loss": 2.5}
    assert bits_per_byte(tiny_model.corpus(), objective_of(RUN, SPECIAL), loss) == {}
    causal = objective_of(RUN.in_phase(Phase(ROW, attention="causal")), SPECIAL)
    assert bits_per_byte(replace(tiny_model.corpus(), text_bytes=9), causal, loss) == {}
