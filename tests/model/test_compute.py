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
from tiny_model import MODEL, largest_difference

from bertjax import model
from bertjax.model import layers
from bertjax.model.encoder import Encoder

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
def test_blocks_that_differ_are_not_scanned(other):
    """They have the same parameters, and the loop would do to all what it does to the first."""
    compute = model.Compute(scan_layers=True)
    encoder = Encoder(MODEL, compute, nnx.Rngs(0))
    encoder.layer_1 = layers.Block(replace(MODEL, **other), compute, nnx.Rngs(1))
    with pytest.raises(ValueError, match=r"layer_1 is not computed as layer_0 .*scan_layers=false"):
        jax.eval_shape(lambda batch: encoder.encode(batch, None), inputs()[1])
    encoder.compute = model.Compute()
    jax.eval_shape(lambda batch: encoder.encode(batch, None), inputs()[1])
