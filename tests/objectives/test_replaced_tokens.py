"""Replaced-token detection: what is drawn, what it costs, and where its gradient goes."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
import sklearn.metrics
import tiny_model
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps
from tiny_model import MODEL, RUN, SPECIAL, VOCAB, by_path, largest_difference

from bertjax import model
from bertjax.config import MaskingConfig, ReplacedTokensConfig
from bertjax.model import networks
from bertjax.objectives import replaced_tokens
from bertjax.objectives.choice import objective_of
from bertjax.objectives.objective import loss
from bertjax.objectives.presets import ELECTRA

PAIR = replace(
    RUN,
    model=replace(MODEL, embedding_size=16),
    data=RUN.data.without_pair_loss,
    masking=ELECTRA,
    replaced_tokens=ReplacedTokensConfig(weight=50.0, generator_size=0.5),
).with_trained_heads()
OBJECTIVE = objective_of(PAIR, SPECIAL)
detection_sums = jax.jit(replaced_tokens.detection_sums)


@cache
def params() -> model.Params:
    return jax.jit(networks.init, static_argnums=0)(PAIR, jax.random.key(0))


@cache
def corrupted() -> dict[str, np.ndarray]:
    return jax.device_get(jax.jit(OBJECTIVE.corrupt)(tiny_model.source().batch(0), 0))


# What is drawn.


def test_draws_follow_the_softmax_of_the_pieces_alone():
    logits = jnp.tile(jnp.float32([0.0, 1.0, 2.0, -1.0, 9.0]), (1, 20_000, 1))
    keys = jax.random.split(jax.random.key(1), 1)
    drawn = np.asarray(replaced_tokens.draw(logits, keys, pieces=4))
    counts = np.bincount(drawn.ravel(), minlength=5)
    assert counts[4] == 0
    expected = 20_000 * scipy.special.softmax([0.0, 1.0, 2.0, -1.0])
    assert scipy.stats.chisquare(counts[:4], expected).pvalue > 1e-3


def test_a_row_draws_the_same_in_any_batch_and_anew_in_each_epoch():
    generator, weights = networks.generator_of(PAIR, params())

    def drawn(batch):
        logits = model.apply(generator, weights, batch)["masked_lm_logits"]
        keys = jax.vmap(partial(replaced_tokens.key_of_draws, 0))(batch["example_ids"])
        return replaced_tokens.draw(logits, keys, VOCAB)

    batch, run = corrupted(), jax.jit(drawn)
    half = {name: array[4:8] for name, array in batch.items()}
    np.testing.assert_array_equal(run(batch)[4:8], run(half))
    later = half | {"example_ids": half["example_ids"] + np.uint32([1, 0])}
    assert (np.asarray(run(half)) != np.asarray(run(later))).mean() > 0.5


@settings(max_examples=50)
@given(st.data())
def test_draws_stand_in_the_slots_that_count(data):
    rows, length, slots = 3, 8, 4
    ids = st.integers(0, 9)
    tokens = data.draw(nps.arrays(np.int32, (rows, length), elements=ids))
    drawn = data.draw(nps.arrays(np.int32, (rows, slots), elements=ids))
    used = data.draw(nps.arrays(np.int32, rows, elements=st.integers(0, slots)))
    weights = (np.arange(slots) < used[:, None]).astype(np.float32)
    places = np.zeros((rows, slots), np.int32)
    expected = tokens.copy()
    for row in range(rows):
        chosen = sorted(data.draw(st.permutations(range(length)))[: used[row]])
        places[row, : used[row]] = chosen
        for slot, place in enumerate(chosen):
            expected[row, place] = drawn[row, slot]
    batch = {
        "tokens": np.full_like(tokens, SPECIAL.mask),
        "original_tokens": tokens,
        "predict_positions": places,
        "predict_weights": weights,
    }
    np.testing.assert_array_equal(replaced_tokens.put_draws(batch, drawn), expected)


# What it costs.


@settings(max_examples=50)
@given(
    nps.arrays(np.float32, (3, 5), elements=st.floats(-30, 30, width=32, allow_subnormal=False)),
    nps.arrays(bool, (3, 5)),
    nps.arrays(bool, (3, 5)),
)
def test_scores_are_those_of_scikit_learn(logits, is_replaced, real):
    real[0, 0] = True
    found = {n: float(m.value()) for n, m in detection_sums(logits, is_replaced, real).items()}
    truth, says = is_replaced[real], logits[real] > 0
    assert found["replaced_token_accuracy"] == pytest.approx((truth == says).mean())
    scores = sklearn.metrics.precision_recall_fscore_support(
        truth, says, average="binary", zero_division=0.0
    )
    assert found["replaced_token_precision"] == pytest.approx(scores[0])
    assert found["replaced_token_recall"] == pytest.approx(scores[1])
    wide = logits[real].astype(np.float64)
    nll = np.where(truth, np.log1p(np.exp(-wide)), np.log1p(np.exp(wide)))
    assert found["replaced_token_loss"] == pytest.approx(nll.mean(), rel=1e-5, abs=1e-6)


# Where its gradient goes.


@cache
def gradients(**weights: float) -> model.Params:
    """Of the losses of these names, each times its weight."""
    batch = corrupted()

    def total(params):
        sums = OBJECTIVE.sums(params, batch, model.Compute(), None)
        return sum(weight * sums[name].value() for name, weight in weights.items())

    return jax.device_get(jax.jit(jax.grad(total))(params()))


def test_shared_tables_learn_from_both_networks_and_nothing_goes_through_the_draws():
    generator = gradients(masked_lm_loss=1.0)
    detector = gradients(replaced_token_loss=50.0)
    for name in ("word_embeddings", "position_embeddings", "token_type_embeddings"):
        for found in (generator, detector):
            assert np.abs(found["embeddings"][name]["embedding"]).max() > 1e-6, name
    assert not any(g.any() for g in by_path(detector["generator"]).values())
    assert not any(g.any() for g in by_path(networks.model_of(generator)["layer_0"]).values())
    assert all(g.any() for g in by_path(generator["generator"]["layer_0"]["feed_forward"]).values())


def test_the_step_weighs_the_two_losses_as_the_config_says():
    batch, counts = corrupted(), OBJECTIVE.counts(corrupted())
    found = jax.jit(
        jax.grad(lambda p: loss(OBJECTIVE, p, batch, counts, model.Compute(), None)[0])
    )(params())
    both = gradients(masked_lm_loss=1.0, replaced_token_loss=50.0)
    assert largest_difference(found, both) < 1e-5


# The two networks.


def test_the_generator_is_google_s():
    """The published sizes: base ⅓ of 768, large ¼ of 1024, both 256 with 4 heads."""
    for width, heads, share in ((768, 12, 1 / 3), (1024, 16, 0.25)):
        cfg = replace(
            PAIR,
            model=replace(MODEL, hidden_size=width, num_heads=heads, intermediate_size=4 * width),
            replaced_tokens=ReplacedTokensConfig(50.0, share),
        )
        generator = cfg.generator
        assert (generator.hidden_size, generator.num_heads) == (256, 4)
        assert (generator.intermediate_size, generator.embedding_size) == (1024, width)
        assert generator.num_layers == cfg.model.num_layers


@given(st.integers(1, 40), st.floats(0.05, 1.0))
def test_every_share_makes_a_generator(heads, share):
    cfg = replace(
        PAIR,
        model=replace(MODEL, hidden_size=8 * heads, num_heads=heads),
        replaced_tokens=ReplacedTokensConfig(50.0, share),
    )
    width = share * 8 * heads
    assert abs(cfg.generator.hidden_size - width) <= 0.5 + max(1, round(width) // 64)


@pytest.mark.parametrize("tables", [0, 16])
def test_nothing_shared_is_held_twice(tables):
    cfg = replace(PAIR, model=replace(PAIR.model, embedding_size=tables))
    everything = by_path(jax.tree.map(lambda s: np.zeros(s.shape), networks.abstract_params(cfg)))
    own = {name for name in everything if name.startswith("generator/embeddings")}
    # A generator of the width of the tables needs no projection.
    projected = {f"generator/embeddings/projection/{x}" for x in ("kernel", "bias")}
    assert own == (projected if tables != cfg.generator.hidden_size else set())
    assert networks.describe(cfg).keys() == everything.keys()
    zeros = jax.tree.map(lambda s: np.zeros(s.shape), networks.abstract_params(cfg))
    generator, weights = networks.generator_of(cfg, zeros)
    alone = jax.tree.map(lambda s: s.shape, model.abstract_params(generator))
    assert jax.tree.map(np.shape, weights) == alone


def test_evaluation_is_the_same_however_a_run_masks_and_draws():
    other = replace(PAIR, seed=7, masking=MaskingConfig(rate=0.5))
    here, there = (objective_of(cfg, SPECIAL).evaluation() for cfg in (PAIR, other))
    assert here.masks == there.masks
