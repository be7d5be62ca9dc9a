"""Causal LM against PyTorch's cross-entropy over each example, and what a token may know."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import jax
import numpy as np
import pytest
import tiny_model
from tiny_model import MODEL, RUN, SPECIAL, by_path, largest_difference

from bertjax import model
from bertjax.config import ReplacedTokensConfig
from bertjax.errors import UserError
from bertjax.objectives.choice import objective_of
from bertjax.objectives.objective import loss

CAUSAL = replace(
    RUN,
    model=replace(MODEL, attention="causal"),
    data=replace(RUN.data, format="doc_sentences", max_packed=3),
).with_trained_heads()
OBJECTIVE = objective_of(CAUSAL, SPECIAL)


@cache
def params() -> model.Params:
    return jax.jit(model.init, static_argnums=0)(CAUSAL.model, jax.random.key(0))


@cache
def text() -> dict[str, np.ndarray]:
    """Packed rows, some with padding at their end."""
    return tiny_model.source(CAUSAL.data).batch(0)


@cache
def prepared() -> dict[str, np.ndarray]:
    return jax.device_get(jax.jit(OBJECTIVE.corrupt)(text(), 0))


def test_the_loss_is_pytorchs_over_each_example_by_itself():
    torch = pytest.importorskip("torch")
    batch = prepared()
    sums = jax.jit(OBJECTIVE.sums, static_argnums=(2, 3))(params(), batch, model.Compute(), None)
    logits = jax.jit(model.apply, static_argnums=0)(CAUSAL.model, params(), batch)
    logits = np.asarray(logits["masked_lm_logits"], np.float64)
    nll, right, count = 0.0, 0, 0
    for row in range(len(text()["tokens"])):
        for example in range(1, text()["segments"][row].max() + 1):
            places = np.flatnonzero(text()["segments"][row] == example)
            wanted = torch.tensor(text()["tokens"][row, places[1:]]).long()
            given = torch.tensor(logits[row, places[:-1]])
            nll += torch.nn.functional.cross_entropy(given, wanted, reduction="sum").item()
            right += (given.argmax(-1) == wanted).sum().item()
            count += len(wanted)
    assert text()["segments"].max() > 1 and (text()["segments"] == 0).any()
    found = sums["causal_lm_loss"]
    assert float(found.weight) == count == float(OBJECTIVE.counts(batch)["causal_lm_loss"])
    assert float(found.total) == pytest.approx(nll, rel=1e-5)
    assert float(sums["causal_lm_accuracy"].total) == right


def test_no_token_knows_what_follows():
    """Leakage probe: another token changes no logits before its own, nor of another example."""
    weights = params()  # not first made inside a trace
    run = jax.jit(lambda batch: model.apply(CAUSAL.model, weights, batch)["masked_lm_logits"])
    batch = prepared()
    before = np.asarray(run(batch))
    at = 5
    after = np.asarray(run(batch | {"tokens": _changed(batch["tokens"], at)}))
    np.testing.assert_array_equal(before[:, :at], after[:, :at])
    segments = batch["segments"][:, :-1]  # where there is a next token
    same, real = segments == batch["segments"][:, at : at + 1], segments != 0
    later = np.arange(before.shape[1]) >= at
    moved = np.abs(before - after)[..., : MODEL.vocab_size].max(-1)
    assert (moved[real & ~same] == 0).all() and (moved[real & same & later] > 0).all()


def _changed(tokens: np.ndarray, at: int) -> np.ndarray:
    changed = tokens.copy()
    changed[:, at] = (changed[:, at] + 1) % MODEL.vocab_size
    return changed


def test_packed_examples_learn_what_they_learn_in_rows_of_their_own():
    packed = {name: array[:6] for name, array in text().items()}
    rows = []
    for row in range(6):
        for example in range(1, packed["segments"][row].max() + 1):
            here = packed["segments"][row] == example
            alone = {
                n: np.zeros_like(packed[n][row]) for n in ("tokens", "token_types", "positions")
            }
            for name in alone:
                alone[name][: here.sum()] = packed[name][row, here]
            alone["segments"] = (np.arange(len(here)) < here.sum()).astype(np.int32)
            rows.append(alone)
    apart = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    together = {name: packed[name] for name in apart}

    def gradient(batch):
        batch = OBJECTIVE.corrupt(batch, 0)
        counts = OBJECTIVE.counts(batch)
        share = lambda p: loss(OBJECTIVE, p, batch, counts, model.Compute(), None)[0]  # noqa: E731
        return jax.jit(jax.grad(share))(params())

    ours, theirs = gradient(together), gradient(apart)
    assert largest_difference(ours, theirs) < 1e-6
    assert max(np.abs(g).max() for g in by_path(ours).values()) > 1e-2


def test_one_direction_at_a_time():
    with pytest.raises(UserError, match=r"replaced_tokens\.weight=50 with model\.attention=causal"):
        replace(CAUSAL, replaced_tokens=ReplacedTokensConfig(weight=50.0))
