"""A run that trains the embeddings of its own pieces ends where that of the whole table does."""

from __future__ import annotations

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tiny_task import assert_resumes, config, encoder, start, tokenizer, write_table

from bertjax.config import TransferConfig
from bertjax.finetuning import words
from bertjax.finetuning.material import Material
from bertjax.finetuning.run import finetune
from bertjax.finetuning.saved import open_saved
from bertjax.finetuning.settle import settle
from bertjax.finetuning.splits import open_splits
from bertjax.finetuning.words import TABLE, SmallTable, occurring, small_table
from bertjax.tasks.task import Rows
from bertjax.tree import flatten, unflatten

V, E = 60, 8
PIECES = np.array([2, 3, 5, 17, 40, 59], np.int32)


@pytest.fixture
def settings(tmp_path):
    return config(write_table(tmp_path / "train.tsv", 48), write_table(tmp_path / "dev.tsv", 20, 1))


@pytest.fixture
def few(monkeypatch):
    """Tables are rounded to 8 rows, so that those of the tiny task are small."""
    monkeypatch.setattr(words, "_ROUND", 8)


def rows_of(*tokens) -> Rows:
    arrays = [np.array(row, np.int32) for row in tokens]
    return Rows(arrays, [np.zeros_like(a) for a in arrays], np.arange(len(arrays)))


def test_pieces_are_those_of_all_rows_and_padding():
    found = occurring([rows_of([5, 3, 5], [40]), rows_of([2, 17])], pad=59)
    assert found.tolist() == PIECES.tolist() and found.dtype == np.int32


def test_adam_of_the_small_table_is_adam_of_the_whole():
    """Six steps with decay, two of them without a gradient: each row, looked up or not."""
    rng = np.random.default_rng(0)
    table = rng.normal(size=(V, E)).astype(np.float32)
    small = SmallTable(table, PIECES)
    rule = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(0.05, weight_decay=0.3))
    whole, cut = {TABLE: table}, small.cut(unflatten({TABLE: table, "head": np.ones(3, "f")}))
    cut = {TABLE: flatten(cut)[TABLE]}
    states = rule.init(whole), rule.init(cut)
    for step in range(6):
        grads = np.zeros((V, E), np.float32)
        grads[PIECES] = rng.normal(size=(len(PIECES), E)) * (step % 3 > 0)
        of_cut = np.concatenate([grads[PIECES], np.zeros((1, E), np.float32)])
        updates = rule.update({TABLE: grads}, states[0], whole)
        whole, states = optax.apply_updates(whole, updates[0]), (updates[1], states[1])
        updates = rule.update({TABLE: of_cut}, states[1], cut)
        cut, states = optax.apply_updates(cut, updates[0]), (states[0], updates[1])
    ended = flatten(small.whole(unflatten(cut)))[TABLE]
    assert np.abs(ended - table).max() > 0.1
    np.testing.assert_allclose(ended, whole[TABLE], rtol=1e-5, atol=1e-7)


def test_numbers_lead_to_the_same_embeddings():
    table = np.arange(V * E, dtype=np.float32).reshape(V, E)
    small = SmallTable(table, PIECES)
    cut = flatten(small.cut(unflatten({TABLE: table})))[TABLE]
    assert cut.shape == (len(PIECES) + 1, E)
    np.testing.assert_array_equal(cut[small.numbers[PIECES]], table[PIECES])
    np.testing.assert_array_equal(cut[-1], np.ones(E))
    whole = small.whole(unflatten({TABLE: jnp.asarray(cut), "head": np.ones(3)}))
    np.testing.assert_array_equal(flatten(whole)[TABLE], table)


def test_where_a_small_table_is_none(settings, few):
    trained = unflatten({TABLE: np.ones((V, E), np.float32)})
    small = small_table(settings, trained, PIECES)
    assert small is not None and len(small.pieces) == 7  # and the row of ones
    assert set(PIECES) < set(small.pieces) and small_table(settings, {}, PIECES) is None
    assert small_table(settings, trained, np.arange(31, dtype=np.int32)) is None
    lamb = replace(settings, optim=replace(settings.optim, optimizer="lamb"))
    assert small_table(lamb, trained, PIECES) is None


@pytest.mark.slow
@pytest.mark.parametrize("tune", [{}, {"fgm": 0.5}, {"unfreeze": 1}])
def test_a_run_ends_where_that_of_the_whole_table_does(settings, tmp_path, monkeypatch, tune):
    cfg = replace(settings, optim=replace(settings.optim, weight_decay=0.2))
    cfg = replace(cfg, tune=replace(cfg.tune, **tune))
    losses, ended = [], []
    for name, rounded in (("small", 8), ("whole", 10**6)):
        monkeypatch.setattr(words, "_ROUND", rounded)
        result = finetune(cfg, tmp_path / name, start()).results
        losses.append([entry["train_loss"] for entry in result["models"][0]["history"]])
        saved = open_saved(tmp_path / name)
        ended.append(flatten(saved.parameters(saved.best)))
    np.testing.assert_allclose(*losses, rtol=1e-5)
    assert ended[0].keys() == ended[1].keys()
    for path, value in ended[0].items():
        assert value.shape == ended[1][path].shape
        np.testing.assert_allclose(value, ended[1][path], rtol=1e-4, atol=2e-5, err_msg=path)
    splits = open_splits(cfg)
    seen = Material(settle(cfg, splits), splits, tokenizer(), 8).pieces
    before = flatten(encoder())[TABLE]
    unseen = np.setdiff1d(np.arange(len(before)), seen)
    assert len(seen) < 20 < len(unseen)
    factor = ended[0][TABLE][unseen[0]] / before[unseen[0]]
    np.testing.assert_allclose(ended[0][TABLE][unseen], before[unseen] * factor, rtol=1e-5)
    assert (factor < 1).all() or "unfreeze" in tune  # which never reaches them


def test_a_run_resumes_bit_for_bit(settings, tmp_path, few):
    assert_resumes(settings, tmp_path, cuts=(4,))


@pytest.mark.slow
def test_rows_without_labels_have_their_pieces_too(settings, tmp_path, monkeypatch):
    """Their words are in no labelled row, and the features of both are drawn together."""
    other = tmp_path / "more.txt"
    other.write_text("\n".join(f"{a} {b} xyz" for a in "abcdef" for b in "ghijkl") + "\n")
    cfg = replace(
        settings,
        data=replace(settings.data, unlabelled=str(other)),
        transfer=TransferConfig(method="mmd", weight=0.5),
    )
    losses = []
    for name, rounded in (("small", 8), ("whole", 10**6)):
        monkeypatch.setattr(words, "_ROUND", rounded)
        result = finetune(cfg, tmp_path / name, start()).results
        losses.append([entry["train_loss"] for entry in result["models"][0]["history"]])
    np.testing.assert_allclose(*losses, rtol=1e-5)
