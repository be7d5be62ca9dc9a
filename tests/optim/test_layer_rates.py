"""Learning rates by depth change what Adam does by exactly that factor."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bertjax.config import OptimConfig
from bertjax.optim.layer_rates import layer_rates, optimizer_by_layer
from bertjax.optim.optimizers import optimizer


def params(value: float = 0.5):
    kernel = {"kernel": jnp.full((2, 2), value)}
    return {
        "embeddings": {"word_embeddings": {"embedding": jnp.full((4, 2), value)}},
        "layer_0": {"attention": {"query": kernel}},
        "layer_1": {"attention": {"query": kernel}},
        "pooler": {"dense": kernel},
        "head": {"classifier": kernel},
    }


def test_each_layer_has_the_decay_of_the_layers_above_it():
    rates = layer_rates(params(), 2, 0.5, 10.0)
    assert rates["head"]["classifier"]["kernel"] == 10.0
    assert rates["pooler"]["dense"]["kernel"] == 1.0
    assert rates["layer_1"]["attention"]["query"]["kernel"] == 0.5
    assert rates["layer_0"]["attention"]["query"]["kernel"] == 0.25
    assert rates["embeddings"]["word_embeddings"]["embedding"] == 0.125


@pytest.mark.parametrize("clip", [0.0, 1.0])
def test_updates_are_scaled_decay_included_and_gradients_are_not(clip):
    cfg = OptimConfig(
        learning_rate=0.1,
        warmup_fraction=0.0,
        weight_decay=0.1,
        clip_norm=clip,
        schedule="constant",
    )
    start = params()
    grads = jax.tree.map(lambda p: 0.3 * p + 0.1, start)
    rates = layer_rates(start, 2, 0.5, 2.0)
    plain, scaled = optimizer(cfg, 10), optimizer_by_layer(cfg, 10, rates)
    ours, theirs = scaled.init(start), plain.init(start)
    for _ in range(3):
        a, ours = scaled.update(grads, ours, start)
        b, theirs = plain.update(grads, theirs, start)
        jax.tree.map(lambda x, y, r: np.testing.assert_allclose(x, y * r, rtol=1e-6), a, b, rates)
        assert max(float(jnp.abs(x).max()) for x in jax.tree.leaves(a)) > 1e-3
