"""New rows are means of old ones, in every member of the family."""

from __future__ import annotations

from dataclasses import replace

import jax
import numpy as np
import pytest
import tiny_model
from family import FAMILY

from bertjax import model
from bertjax.adapt.grow import with_rows
from bertjax.config import ModelConfig
from bertjax.tree import flatten

# Those whose parameters over the vocabulary differ: projected, beside an extension, untied.
MEMBERS = {"bert": {}} | {name: FAMILY[name] for name in ("albert", "eurobert", "mobilebert")}
OLD = [[7, 9], [20, 21, 22], [7, 7, 30]]


@pytest.mark.parametrize(
    ("name", "spare"), [("bert", 100), *((name, 0) for name in sorted(MEMBERS))]
)
def test_old_logits_stay_and_new_ones_are_means(name, spare):
    """The decoder is linear, so the logit of a mean is the mean of the logits."""
    cfg = ModelConfig(
        **{"hidden_size": 32, "num_layers": 2, "num_heads": 4, "intermediate_size": 64}
        | {"max_positions": tiny_model.ROW, "vocab_size": tiny_model.VOCAB + spare}
        | {"initializer_range": 0.1, "next_sentence_head": False}
        | MEMBERS[name]
    )
    key = jax.random.key(1)
    params = jax.tree.map(lambda x: x + 0.1 * jax.random.normal(key, x.shape), model.init(cfg, key))
    grown, rows = with_rows(cfg, params, tiny_model.VOCAB, OLD)
    assert grown == replace(cfg, vocab_size=max(cfg.vocab_size, tiny_model.VOCAB + 3))
    shapes = flatten(model.abstract_params(grown))
    assert {path: leaf.shape for path, leaf in flatten(rows).items()} == {
        path: leaf.shape for path, leaf in shapes.items()
    }
    batch = tiny_model.source().batch(0)
    batch = {name: batch[name][:4] for name in ("tokens", "token_types", "positions", "segments")}
    batch |= {
        "predict_positions": np.tile(np.arange(5, dtype=np.int32), (4, 1)),
        "cls_positions": np.zeros((4, 1), np.int32),
    }
    before = model.apply(cfg, params, batch)["masked_lm_logits"]
    after = model.apply(grown, rows, batch)["masked_lm_logits"]
    old = slice(0, tiny_model.VOCAB)
    np.testing.assert_allclose(after[..., old], before[..., old], atol=1e-6, rtol=0)
    for i, ids in enumerate(OLD, tiny_model.VOCAB):
        mean = np.asarray(before)[..., ids].mean(axis=-1)
        np.testing.assert_allclose(after[..., i], mean, atol=2e-5)
