"""The encoder against a NumPy one, and its own promises."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import oracle_encoder
import pytest
import tiny_model
from tiny_model import MODEL, ROW, RUN, VOCAB

from bertjax import model
from bertjax.config import ModelConfig
from bertjax.model import layers


@cache
def forward(cfg: ModelConfig, dtype: str = "float32"):
    return jax.jit(partial(model.apply, cfg, compute=model.Compute(dtype)))


@cache
def params(cfg: ModelConfig = MODEL) -> model.Params:
    return jax.jit(partial(model.init, cfg))(jax.random.key(0))


@cache
def batch() -> dict[str, np.ndarray]:
    """Four rows that pack up to three sentence pairs each, with some positions to predict."""
    data = replace(RUN.data, format="sentence_pair+sop", max_packed=3)
    made = {name: array[:4] for name, array in tiny_model.source(data).batch(0).items()}
    assert made["segments"].max() > 1 and (made["segments"] == 0).any()
    made["predict_positions"] = np.tile(np.arange(0, ROW, 3, dtype=np.int32), (4, 1))
    return made


def changed(where: np.ndarray) -> dict[str, np.ndarray]:
    """The batch with other tokens and token types at `where` [B, T]."""
    made = batch()
    tokens = np.where(where, (made["tokens"] + 7) % VOCAB, made["tokens"])
    return made | {
        "tokens": tokens,
        "token_types": np.where(where, 1 - made["token_types"], made["token_types"]),
    }


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"norm": "pre", "activation": "gelu_tanh"},
        {"norm": "pre", "activation": "gelu_tanh", "head_activation": "gelu"},
        {"activation": "relu", "position_offset": 2, "layer_norm_eps": 1e-5},
    ],
    ids=str,
)
def test_outputs_equal_the_numpy_encoder(changes):
    cfg = replace(MODEL, **changes)
    found = forward(cfg)(params(cfg), batch())
    expected = oracle_encoder.encode(cfg, params(cfg), batch())
    real = batch()["segments"] != 0
    np.testing.assert_allclose(found["hidden"][real], expected["hidden"][real], atol=1e-5)
    predicted = np.take_along_axis(real, batch()["predict_positions"], 1)
    logits = found["masked_lm_logits"][..., :VOCAB]
    np.testing.assert_allclose(
        logits[predicted], expected["masked_lm_logits"][predicted], atol=1e-5
    )
    pairs = found["next_sentence_logits"]
    np.testing.assert_allclose(pairs, expected["next_sentence_logits"], atol=1e-5)


def test_padding_changes_nothing_and_breaks_nothing():
    padding = batch()["segments"] == 0
    before, after = (forward(MODEL)(params(), b) for b in (batch(), changed(padding)))
    np.testing.assert_array_equal(before["hidden"][~padding], after["hidden"][~padding])
    assert np.isfinite(after["hidden"]).all()
    assert np.abs(before["hidden"] - after["hidden"])[padding].max() > 1e-2


def test_a_segment_depends_on_itself_alone():
    first = batch()["segments"] == 1
    before, after = (forward(MODEL)(params(), b) for b in (batch(), changed(first)))
    others = ~first & (batch()["segments"] != 0)
    np.testing.assert_array_equal(before["hidden"][others], after["hidden"][others])
    pairs = batch()["pair_labels"] >= 0
    pairs[:, 0] = False
    np.testing.assert_array_equal(
        before["next_sentence_logits"][pairs], after["next_sentence_logits"][pairs]
    )
    assert pairs.any()
    assert np.abs(before["hidden"] - after["hidden"])[first].min(-1).max() > 1e-4


def test_padded_vocabulary_is_zero_and_never_predicted():
    table = params()["embeddings"]["word_embeddings"]["embedding"]
    assert table.shape == (128, MODEL.hidden_size)
    assert not table[VOCAB:].any() and (jnp.abs(table[:VOCAB]).max(axis=1) > 0).all()
    logits = forward(MODEL)(params(), batch())["masked_lm_logits"]
    assert (logits[..., VOCAB:] == jnp.finfo(jnp.float32).min).all()
    assert not jax.nn.softmax(logits)[..., VOCAB:].any()


def test_padded_vocabulary_gets_no_gradient():
    def total(p):
        logits = model.apply(MODEL, p, batch())["masked_lm_logits"]
        return jax.nn.logsumexp(logits, axis=-1).sum()

    grads = jax.jit(jax.grad(total))(params())
    table = grads["embeddings"]["word_embeddings"]["embedding"]
    assert not table[VOCAB:].any() and table[:VOCAB].any(axis=1).all()
    assert not grads["masked_lm"]["bias"][VOCAB:].any()


def test_initialisation_is_a_normal_cut_at_two_deviations():
    """Cut and not widened again, as TensorFlow does it: what is left deviates by 0.8796 of it."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(params()):
        name = path[-1].key
        if name in ("kernel", "embedding"):
            assert float(jnp.abs(leaf).max()) <= 2 * MODEL.initializer_range
            used = leaf[:VOCAB] if len(leaf) == 128 else leaf
            spread = 0.8796 * MODEL.initializer_range
            assert float(used.std()) == pytest.approx(spread, rel=5 / (2 * used.size) ** 0.5)
        else:
            assert (leaf == (1.0 if name == "scale" else 0.0)).all()


def test_bfloat16_is_close_and_keeps_logits_in_float32():
    exact, rounded = (forward(MODEL, dtype)(params(), batch()) for dtype in ("float32", "bfloat16"))
    real = batch()["segments"] != 0
    assert rounded["hidden"].dtype == jnp.bfloat16
    assert rounded["masked_lm_logits"].dtype == rounded["next_sentence_logits"].dtype == jnp.float32
    difference = np.abs(exact["hidden"] - rounded["hidden"].astype(jnp.float32))[real]
    assert 0 < difference.mean() < 0.02 and difference.max() < 0.2  # hidden states have RMS 1
    logits = np.abs(exact["masked_lm_logits"] - rounded["masked_lm_logits"])[..., :VOCAB]
    assert logits.mean() < 0.02


def test_dropout_is_off_without_a_key_and_follows_the_key():
    cfg = replace(MODEL, hidden_dropout=0.3, attention_dropout=0.3)
    plain = forward(MODEL)(params(), batch())["hidden"]
    np.testing.assert_array_equal(forward(cfg)(params(), batch())["hidden"], plain)
    run = jax.jit(lambda key: model.apply(cfg, params(), batch(), key=key)["hidden"])
    first, again, other = (run(jax.random.key(i)) for i in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - plain).max() > 0.1 and np.abs(first - other).max() > 0.1


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_dropout_keeps_the_mean_and_the_type(dtype):
    dropped = layers.dropout(jnp.ones((200, 200), dtype), 0.25, jax.random.key(0))
    assert dropped.dtype == dtype
    kept = np.asarray(dropped, np.float32) != 0
    assert kept.mean() == pytest.approx(0.75, abs=0.01)  # five deviations
    assert float(dropped.max()) == pytest.approx(1 / 0.75, rel=1e-2)


@pytest.mark.parametrize("width", [1, 7, 8])
def test_dropout_decides_for_each_number_by_itself(width):
    """Both halves of a random word: as often, and neither together nor in turns."""
    kept = np.asarray(layers.dropout(jnp.ones((40_000, width)), 0.1, jax.random.key(3))) != 0
    deviation = (0.1 * 0.9 / len(kept)) ** 0.5
    np.testing.assert_allclose(kept.mean(axis=0), 0.9, atol=4 * deviation)
    correlation = np.cov(kept.T).reshape(width, width) / 0.09 - np.eye(width)
    assert np.abs(correlation).max() < 5 / len(kept) ** 0.5
