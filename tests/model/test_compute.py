"""How a model is computed changes neither its outputs nor its gradients, only time and memory."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_model
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st
from tiny_model import MODEL, largest_difference

from bertjax import model
from bertjax.model import layers
from bertjax.model.encoder import Encoder, _repetition

DROPPING = replace(MODEL, num_layers=3, hidden_dropout=0.1, attention_dropout=0.1)


@cache
def inputs():
    batch = {name: array[:4] for name, array in tiny_model.source().batch(0).items()}
    batch["predict_positions"] = np.tile(np.arange(4, dtype=np.int32), (4, 1))
    return jax.jit(partial(model.init, DROPPING))(jax.random.key(0)), batch


def gradients(compute: model.Compute):
    params, batch = inputs()

    def loss(params):
        key = jax.random.key(7)
        outputs = model.apply(DROPPING, params, batch, compute=compute, key=key)
        states = sum(jnp.mean(state**2) for state in outputs["hidden_states"])
        return states + jnp.mean(outputs["masked_lm_logits"][..., : MODEL.vocab_size] ** 2)

    return jax.jit(jax.value_and_grad(loss))(params)


@pytest.mark.parametrize(
    "compute",
    [
        pytest.param(model.Compute(scan_layers=True), marks=pytest.mark.slow),
        pytest.param(model.Compute(remat="dots"), marks=pytest.mark.slow),
        model.Compute(scan_layers=True, remat="full"),
        model.Compute(platform="gpu"),  # queries, keys and values apart
    ],
)
def test_scanning_rematerialising_and_the_platform_change_nothing(compute):
    value, grads = gradients(compute)
    expected, expected_grads = gradients(model.Compute())
    assert value == pytest.approx(float(expected), rel=1e-6)
    assert largest_difference(grads, expected_grads) < 1e-6


def test_a_scanned_model_is_one_layer_of_program_and_full_remat_needs_less_memory():
    cfg = replace(MODEL, num_layers=8)
    _, batch = inputs()

    def lowered(compute):
        def loss(params):
            return jnp.sum(model.apply(cfg, params, batch, compute=compute)["hidden"] ** 2)

        return jax.jit(jax.grad(loss)).lower(model.abstract_params(cfg))

    unrolled = lowered(model.Compute())
    keeping = lowered(model.Compute(scan_layers=True))
    again = lowered(model.Compute(scan_layers=True, remat="full"))
    products = [program.as_text().count("dot_general") for program in (unrolled, keeping)]
    assert products[1] < products[0] / 4
    # Only in a loop: XLA's CPU backend merges what an unrolled program computes twice.
    kept, not_kept = (p.compile().memory_analysis().temp_size_in_bytes for p in (keeping, again))
    assert not_kept < 0.7 * kept


@pytest.mark.parametrize(
    "other", [{"activation": "relu"}, {"layer_norm_eps": 0.1}, {"attention_dropout": 0.5}]
)
def test_blocks_that_differ_stay_what_they_are_in_a_scanned_model(other):
    """They have the same parameters: a loop must not do to all what it does to the first."""
    encoder = Encoder(replace(MODEL, num_layers=3), model.Compute(), nnx.Rngs(0))
    different = replace(MODEL, **other)
    encoder.layer_1 = layers.Block(different, different.layer(1), model.Compute(), nnx.Rngs(1))
    batch, key = inputs()[1], jax.random.key(1)
    plain = encoder.encode(batch, key).states
    encoder.compute = model.Compute(scan_layers=True)
    scanned = encoder.encode(batch, key).states
    for ours, expected in zip(scanned, plain, strict=True):
        np.testing.assert_allclose(ours, expected, atol=1e-5)


@given(st.lists(st.integers(0, 2), min_size=1, max_size=9))
def test_the_longest_stretch_that_repeats_is_found(kinds):
    start, turn, turns = _repetition(kinds)
    unit = kinds[start : start + turn]
    assert kinds[start : start + turn * turns] == unit * turns
    longest = max(
        (
            size * count
            for first in range(len(kinds))
            for size in range(1, len(kinds) - first + 1)
            for count in range(2, len(kinds) // size + 1)
            if kinds[first : first + size * count] == kinds[first : first + size] * count
        ),
        default=1,
    )
    assert turn * turns == longest
    assert turns > 1 or longest == 1


def test_layers_that_repeat_in_turns_are_one_loop():
    local = replace(MODEL, num_layers=10, norm="pre", first_norm=False, local_window=2)
    modern = replace(local, global_every=3)
    specs = list(modern.layer_specs)
    assert _repetition([specs.index(spec) for spec in specs]) == (1, 3, 3)
