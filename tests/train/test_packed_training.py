"""Documents that share a row train as they do in rows of their own."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_model import MODEL, RUN, SPECIAL, VOCAB

from bertjax import model
from bertjax.objectives.choice import objective_of
from bertjax.objectives.objective import loss

T = MODEL.max_positions
LENGTHS = (7, 9)

init = jax.jit(model.init, static_argnums=0)


def packed_and_unpacked():
    """The same two examples in one row of 16 and in two rows; the same predicted tokens."""
    rng = np.random.default_rng(1)
    documents = [rng.integers(5, VOCAB, n) for n in LENGTHS]
    targets = [(2, 5), (1, 8)]  # predicted positions inside each document

    def row(parts, width):
        out = {
            k: np.zeros(width, np.int32) for k in ("tokens", "token_types", "positions", "segments")
        }
        cls, predicted, labels, at = [], [], [], 0
        for number, (document, target) in enumerate(parts, start=1):
            span = slice(at, at + len(document))
            out["tokens"][span], out["segments"][span] = document, number
            out["positions"][span] = np.arange(len(document))
            cls.append(at)
            predicted += [at + t for t in target]
            labels += [document[t] for t in target]
            at += len(document)
        out["cls_positions"] = np.array(cls, np.int32)
        out["pair_labels"] = np.array([number % 2 for number in range(len(parts))], np.int32)
        out["predict_positions"] = np.array(predicted, np.int32)
        out["predict_labels"] = np.array(labels, np.int32)
        out["predict_weights"] = np.ones(len(predicted), np.float32)
        return out

    parts = list(zip(documents, targets, strict=True))
    packed = {k: v[None] for k, v in row(parts, T).items()}
    rows = [row([part], T) for part in parts]
    rows[1]["pair_labels"] = np.array([1], np.int32)
    unpacked = {k: np.stack([r[k] for r in rows]) for k in rows[0]}
    return packed, unpacked


def gradients(cfg, params, batch):
    objective, plain = objective_of(cfg, SPECIAL), model.Compute()
    counts = objective.counts(batch)
    return jax.grad(lambda p: loss(objective, p, batch, counts, plain, None)[0])(params)


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_packed_gradients_equal_unpacked(norm):
    cfg = replace(RUN, model=replace(MODEL, norm=norm))
    params = init(cfg.model, jax.random.key(0))
    packed, unpacked = packed_and_unpacked()
    one, two = (jax.jit(gradients, static_argnums=0)(cfg, params, b) for b in (packed, unpacked))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-6), one, two)
    assert max(float(jnp.abs(x).max()) for x in jax.tree.leaves(one)) > 1e-3


def test_a_perturbed_document_leaves_its_neighbour_alone():
    params = init(MODEL, jax.random.key(0))
    packed, _ = packed_and_unpacked()
    changed = {k: v.copy() for k, v in packed.items()}
    changed["tokens"][0, : LENGTHS[0]] = 9
    run = jax.jit(lambda batch: model.apply(MODEL, params, batch))
    before, after = run(packed), run(changed)
    np.testing.assert_array_equal(
        before["masked_lm_logits"][0, 2:], after["masked_lm_logits"][0, 2:]
    )
    np.testing.assert_array_equal(
        before["next_sentence_logits"][0, 1], after["next_sentence_logits"][0, 1]
    )
    assert np.abs(before["masked_lm_logits"][0, :2] - after["masked_lm_logits"][0, :2]).max() > 1e-3
