"""Losses against PyTorch's cross-entropy, and how objectives add up."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_model
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_model import MODEL, ROW, ROWS, RUN, SPECIAL, VOCAB, by_path, largest_difference

from bertjax import model
from bertjax.config import Phase
from bertjax.objectives import masked_lm, objective
from bertjax.objectives.choice import objective_of
from bertjax.objectives.losses import cross_entropy, z_loss

ROW_COUNT, SLOTS, CLASSES = 3, 4, 7
SWITCHED_OFF = replace(RUN, data=RUN.data.without_pair_loss)
sums = jax.jit(partial(cross_entropy, "x"))
gradient_of_sum = jax.jit(jax.grad(lambda *inputs: cross_entropy("x", *inputs)["x_loss"].total))


@given(
    labels=st.lists(st.integers(0, CLASSES - 1), min_size=12, max_size=12),
    weights=st.lists(st.sampled_from([0.0, 1.0]), min_size=12, max_size=12),
    seed=st.integers(0, 2**32 - 1),
    scale=st.sampled_from([0.1, 3.0, 100.0]),
)
@settings(max_examples=50)
def test_cross_entropy_is_pytorchs(labels, weights, seed, scale):
    torch = pytest.importorskip("torch")
    logits = scale * np.random.default_rng(seed).normal(size=(ROW_COUNT, SLOTS, CLASSES))
    logits = logits.astype(np.float32)
    shape = (ROW_COUNT, SLOTS)
    label, weight = np.reshape(labels, shape), np.reshape(weights, shape).astype(np.float32)
    found = sums(logits, label, weight)
    wanted = torch.where(torch.tensor(weight) > 0, torch.tensor(label), -100).flatten()
    flat = torch.tensor(logits).double().flatten(0, 1)
    flat.requires_grad_()
    nll = torch.nn.functional.cross_entropy(flat, wanted, ignore_index=-100, reduction="sum")
    nll.backward()
    assert float(found["x_loss"].total) == pytest.approx(nll.item(), rel=1e-5, abs=1e-5)
    assert float(found["x_accuracy"].total) == int((flat.argmax(-1) == wanted).sum())
    assert float(found["x_loss"].weight) == weight.sum() == found["x_accuracy"].weight
    gradient = gradient_of_sum(logits, label, weight).reshape(-1, CLASSES)
    np.testing.assert_allclose(gradient, flat.grad, atol=2e-5)  # a sum of 100's in float32


def test_z_loss_is_the_square_of_pytorchs_logsumexp_and_is_off_in_evaluation():
    torch = pytest.importorskip("torch")
    logits = np.random.default_rng(0).normal(3, 2, (ROW_COUNT, SLOTS, CLASSES)).astype(np.float32)
    weights = np.float32(np.arange(12).reshape(ROW_COUNT, SLOTS) % 3 > 0)
    flat = torch.tensor(logits).double().requires_grad_()
    wanted = (torch.logsumexp(flat, -1) ** 2 * torch.tensor(weights)).sum()
    wanted.backward()
    total, gradient = jax.value_and_grad(lambda x: z_loss(x, weights).total)(logits)
    assert float(total) == pytest.approx(wanted.item(), rel=1e-6)
    np.testing.assert_allclose(gradient, flat.grad, rtol=1e-5, atol=1e-6)
    for attention in ("full", "causal"):
        phase = Phase(ROW, ROWS, attention=attention)
        cfg = replace(RUN.in_phase(phase), train=replace(RUN.train, z_loss=1e-4))
        asked = objective_of(cfg.with_trained_heads(), SPECIAL)
        assert asked.weights["z_loss"] == 1e-4 and "z_loss" not in asked.evaluation().weights


def test_label_zero_counts_and_a_slot_of_weight_zero_does_not():
    logits = np.zeros((1, 2, CLASSES), np.float32)
    logits[0, 0, 0] = 5.0
    logits[0, 1] = np.arange(CLASSES) * 100.0
    found = sums(logits, np.zeros((1, 2), np.int32), np.float32([[1.0, 0.0]]))
    assert float(found["x_loss"].weight) == float(found["x_accuracy"].total) == 1.0
    assert float(found["x_loss"].total) == pytest.approx(
        np.log(1 + (CLASSES - 1) * np.exp(-5.0)), rel=1e-4
    )


def test_next_sentence_leaves_out_places_without_a_pair():
    logits = np.float32([[[2.0, -1.0], [0.5, 3.0], [9.0, 9.0]]])
    found = masked_lm.next_sentence_sums(logits, np.int32([[0, 0, -1]]))
    accuracy, loss = found["next_sentence_accuracy"], found["next_sentence_loss"]
    assert float(accuracy.weight) == 2.0 and float(accuracy.total) == 1.0
    assert float(loss.total) == pytest.approx(np.log1p(np.exp(-3.0)) + np.log1p(np.exp(2.5)))


def test_the_mean_of_nothing_is_zero():
    nothing = sums(
        np.ones((1, 1, CLASSES), np.float32), np.zeros((1, 1), int), np.zeros((1, 1), np.float32)
    )
    means = {name: float(mean.value()) for name, mean in nothing.items()}
    assert means == {"x_loss": 0.0, "x_accuracy": 0.0}


# Objectives together, on batches whose predictions are written out, so that nothing is random.


@cache
def params() -> model.Params:
    return jax.jit(partial(model.init, MODEL))(jax.random.key(0))


@cache
def gradients(cfg):
    """Jitted batch -> gradients of its loss."""

    def loss(params, batch):
        chosen = objective_of(cfg, SPECIAL)
        counts = chosen.counts(batch)
        return objective.loss(chosen, params, batch, counts, model.Compute(), None)[0]

    return jax.jit(partial(jax.grad(loss), params()))


@cache
def packed_batch() -> dict[str, np.ndarray]:
    """Rows of up to three sentence pairs; the second and fourth token of each are predicted."""
    data = replace(RUN.data, format="sentence_pair+sop", max_packed=3)
    batch = {name: array[:5] for name, array in tiny_model.source(data).batch(0).items()}
    batch = {name: _more_rows(array) for name, array in batch.items()}
    batch["pair_labels"][5:] = -1
    for name, dtype in (("positions", np.int32), ("labels", np.int32), ("weights", np.float32)):
        batch[f"predict_{name}"] = np.zeros((ROWS, 6), dtype)
    for row in range(5):
        for slot in range(int(batch["segments"][row].max())):
            for nth, offset in enumerate((1, 3)):
                _predict(batch, row, 2 * slot + nth, batch["cls_positions"][row, slot] + offset)
    return batch


def _more_rows(array: np.ndarray) -> np.ndarray:
    return np.concatenate([array, np.zeros((ROWS - len(array), *array.shape[1:]), array.dtype)])


def _predict(batch: dict[str, np.ndarray], row: int, slot: int, position: int) -> None:
    batch["predict_positions"][row, slot] = position
    batch["predict_labels"][row, slot] = (7 * row + 3 * slot) % VOCAB  # 0 among them
    batch["predict_weights"][row, slot] = 1.0


def unpacked_batch() -> dict[str, np.ndarray]:
    """The examples of `packed_batch` in a row each, from its start."""
    packed = packed_batch()
    batch = {name: np.zeros_like(array) for name, array in packed.items()}
    batch["pair_labels"] -= 1
    new = 0
    for row in range(5):
        for slot in range(int(packed["segments"][row].max())):
            here = packed["segments"][row] == slot + 1
            length, start = here.sum(), int(packed["cls_positions"][row, slot])
            for name in ("tokens", "token_types", "positions"):
                batch[name][new, :length] = packed[name][row, here]
            batch["segments"][new, :length] = 1
            batch["pair_labels"][new, 0] = packed["pair_labels"][row, slot]
            mine = slice(2 * slot, 2 * slot + 2)
            batch["predict_positions"][new, :2] = packed["predict_positions"][row, mine] - start
            for name in ("predict_labels", "predict_weights"):
                batch[name][new, :2] = packed[name][row, mine]
            new += 1
    assert 5 < new <= ROWS
    return batch


def test_packed_gradients_are_those_of_a_row_each():
    packed, unpacked = (gradients(RUN)(b) for b in (packed_batch(), unpacked_batch()))
    assert largest_difference(packed, unpacked) < 1e-6
    assert max(np.abs(g).max() for g in by_path(packed).values()) > 1e-2


def test_the_next_sentence_loss_adds_to_the_gradient_and_changes_no_other():
    both, alone = gradients(RUN)(packed_batch()), gradients(SWITCHED_OFF)(packed_batch())
    no_predictions = packed_batch() | {"predict_weights": np.zeros((ROWS, 6), np.float32)}
    pairs = gradients(RUN)(no_predictions)
    assert largest_difference(both, jax.tree.map(jnp.add, alone, pairs)) < 1e-6
    assert largest_difference(both["masked_lm"], alone["masked_lm"]) < 1e-6
    for head in ("pooler", "next_sentence"):
        assert not any(g.any() for g in by_path(alone[head]).values())
        assert any(g.any() for g in by_path(both[head]).values())


def test_slots_of_weight_zero_have_no_gradient():
    weights = packed_batch()["predict_weights"]
    other = np.where(weights > 0, packed_batch()["predict_labels"], 9)
    found = gradients(RUN)(packed_batch() | {"predict_labels": other})
    assert largest_difference(found, gradients(RUN)(packed_batch())) == 0.0


def test_a_batch_of_padding_has_no_gradient():
    empty = {name: np.zeros_like(array) for name, array in packed_batch().items()}
    empty["pair_labels"] -= 1
    assert not any(g.any() for g in by_path(gradients(RUN)(empty)).values())
