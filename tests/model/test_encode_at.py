"""The last layer at a few places alone: the same logits, whatever the layers compute."""

from __future__ import annotations

import jax
import numpy as np
import pytest
import tiny_model
from family import FAMILY
from tiny_model import ROW, RUN

from bertjax import model
from bertjax.config import ModelConfig

SIZES = {"vocab_size": tiny_model.VOCAB, "max_positions": ROW, "initializer_range": 0.3}
TINY = {"hidden_size": 16, "num_heads": 2, "num_layers": 2, "intermediate_size": 20}
CONFIGS = {name: ModelConfig(**TINY | fields | SIZES) for name, fields in FAMILY.items()}


CASES = [*((name, "packed") for name in FAMILY), ("albert", "full"), ("modernbert", "full")]


@pytest.mark.parametrize(("name", "rows"), CASES)
def test_logits_at_a_few_places_are_those_of_the_whole_row(name, rows):
    cfg = CONFIGS[name]
    params = jax.jit(model.init, static_argnums=0)(cfg, jax.random.key(1))
    made = {name: array[:4] for name, array in tiny_model.source(RUN.data).batch(0).items()}
    if rows == "full":
        made["segments"] = np.ones_like(made["segments"])
    else:
        made["segments"][0, ROW // 2 :] = 0
    real = made["segments"] > 0
    draw = np.random.default_rng(0)
    places = [draw.choice(np.flatnonzero(row), 3) for row in real]
    made["predict_positions"] = np.array(places, np.int32)
    compute = model.Compute(rows=rows)

    @jax.jit
    def both(params, batch):
        whole = model.apply(cfg, params, batch, compute=compute)["masked_lm_logits"]
        return whole, model.masked_lm_logits(cfg, params, batch, compute=compute)

    whole, alone = both(params, made)
    assert np.abs(np.asarray(whole)).max() > 0.1
    np.testing.assert_allclose(alone, whole, rtol=0, atol=2e-5)
