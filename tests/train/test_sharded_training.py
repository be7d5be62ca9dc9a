"""Meshes, micro-batches and packing change where a step is computed, never what it computes."""

from __future__ import annotations

import dataclasses
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bertjax import model, sharding
from bertjax.config import (
    DataConfig,
    MaskingConfig,
    MeshConfig,
    ModelConfig,
    OptimConfig,
    Phase,
    PretrainConfig,
    TrainConfig,
)
from bertjax.errors import UserError
from bertjax.objectives import pretraining
from bertjax.text.special import SpecialIds
from bertjax.train.setup import fresh_state
from bertjax.train.step import init_state, make_train_step, state_shardings

SPECIAL = SpecialIds(pad=0, unk=1, cls=2, sep=3, mask=4)
V, T, B, STEPS = 250, 16, 16, 5


def config(optimizer: str = "adamw", accumulate: int = 1) -> PretrainConfig:
    return PretrainConfig(
        model=ModelConfig(
            vocab_size=V,
            hidden_size=16,
            num_layers=2,
            num_heads=2,
            intermediate_size=32,
            max_positions=T,
            hidden_dropout=0.0,
            attention_dropout=0.0,
        ),
        data=DataConfig(phases=(Phase(seq_len=T, batch_size=B),)),
        masking=MaskingConfig(unit="word", rate=0.3),
        # eps well above float noise: Adam would turn rounding of near-zero gradients into steps.
        optim=OptimConfig(optimizer=optimizer, learning_rate=1e-2, eps=1e-4, warmup_fraction=0.0),
        train=TrainConfig(steps=100, accumulate=accumulate),
    )


def batches() -> list[dict[str, np.ndarray]]:
    """Rows of two segments and unequal lengths, so micro-batches predict unequal counts."""
    rng = np.random.default_rng(0)
    made = []
    for step in range(STEPS):
        lengths = rng.integers(4, T + 1, B)
        real = np.arange(T) < lengths[:, None]
        tokens = np.where(real, rng.integers(5, V, (B, T)), SPECIAL.pad)
        tokens[:, 0] = SPECIAL.cls
        made.append(
            {
                "tokens": tokens.astype(np.int32),
                "token_types": (np.arange(T) > 6).astype(np.int32) * np.ones((B, 1), np.int32),
                "positions": np.tile(np.arange(T, dtype=np.int32), (B, 1)),
                "segments": real.astype(np.int32),
                "word_starts": rng.random((B, T)) < 0.6,
                "cls_positions": np.zeros((B, 1), np.int32),
                "pair_labels": rng.integers(-1, 2, (B, 1)).astype(np.int32),
                "example_ids": np.stack([np.full(B, step), np.arange(B)], 1).astype(np.uint32),
            }
        )
    return made


@cache
def train(optimizer: str, shape: tuple[int, int, int], accumulate: int):
    """Losses of five steps and the parameters after them, on a mesh of the given shape."""
    cfg = config(optimizer, accumulate)
    devices = jax.devices()[: int(np.prod(shape))]
    mesh = sharding.make_mesh(MeshConfig(*shape), devices)
    with jax.set_mesh(mesh):
        state = fresh_state(cfg, mesh)
        step = make_train_step(cfg, mesh, SPECIAL)
        losses = []
        for batch in batches():
            state, metrics = step(state, sharding.to_devices(mesh, batch, B))
            losses.append((metrics["masked_lm_loss"], metrics["next_sentence_loss"]))
    return np.array(jax.device_get(losses)), jax.device_get(state.params)


@pytest.mark.parametrize(
    ("optimizer", "shape", "accumulate"),
    [
        ("adamw", (8, 1, 1), 1),
        ("adamw", (2, 4, 1), 1),
        ("adamw", (2, 2, 2), 1),
        ("adamw", (1, 1, 1), 2),
        ("adamw", (2, 2, 2), 2),
        ("adamw", (1, 1, 1), 4),
        ("muon", (2, 2, 2), 1),
        ("lamb", (2, 2, 2), 1),
    ],
)
def test_mesh_and_accumulation_equal_one_device(optimizer, shape, accumulate):
    """The bar: losses and every parameter after five steps within 1e-5, in float32."""
    losses, params = train(optimizer, (1, 1, 1), 1)
    their_losses, their_params = train(optimizer, shape, accumulate)
    np.testing.assert_allclose(their_losses, losses, rtol=0, atol=1e-5)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(b, a, rtol=0, atol=1e-5), params, their_params
    )


def test_state_lies_where_the_rules_say():
    cfg = config()
    mesh = sharding.make_mesh(MeshConfig(2, 2, 2))
    with jax.set_mesh(mesh):
        state = fresh_state(cfg, mesh)
    words = state.params["embeddings"]["word_embeddings"]["embedding"]
    assert words.sharding.spec == ("tensor", "fsdp")
    assert words.addressable_shards[0].data.shape == (words.shape[0] // 2, words.shape[1] // 2)
    moments = [x for x in jax.tree.leaves(state.optimizer) if x.shape == words.shape]
    assert len(moments) == 2 and all(m.sharding == words.sharding for m in moments)


def test_padded_vocabulary_stays_zero():
    for optimizer in ("adamw", "muon", "lamb"):
        table = train(optimizer, (1, 1, 1), 1)[1]["embeddings"]["word_embeddings"]["embedding"]
        assert table.shape[0] == 256 and not table[V:].any() and table[:V].any()


def test_rules_are_strict(monkeypatch):
    shapes = jax.eval_shape(lambda: init_state(config())).params
    mesh = sharding.make_mesh(MeshConfig(1, 1, 8))
    with pytest.raises(
        UserError, match=r"kernel has a dimension of 12, not divisible by .*tensor=8"
    ):
        narrow = dataclasses.replace(config().model, hidden_size=12)
        sharding.parameter_shardings(mesh, model.abstract_params(narrow))
    monkeypatch.setattr(sharding, "RULES", sharding.RULES[1:])
    with pytest.raises(ValueError, match="no sharding rule matches embeddings/word_embeddings"):
        sharding.parameter_shardings(mesh, shapes)
    unused = (*sharding.RULES, (r".*", None), (r"nothing", None))
    monkeypatch.setattr(sharding, "RULES", ((r".*", jax.sharding.PartitionSpec()), *unused))
    with pytest.raises(ValueError, match="rules that match no parameter"):
        sharding.parameter_shardings(mesh, shapes)


def test_a_mesh_that_does_not_fit_is_refused():
    with pytest.raises(UserError, match="does not fit 8 devices"):
        sharding.make_mesh(MeshConfig(3, 1, 1))
    with pytest.raises(UserError, match="use a multiple of 16"):
        sharding.process_rows(sharding.make_mesh(MeshConfig(8, 1, 1)), 24, 2)


# Packing: two documents in one row, or in a row each.

LENGTHS = (7, 9)


def packed_and_unpacked():
    """The same two examples in one row of 16 and in two rows; the same predicted tokens."""
    rng = np.random.default_rng(1)
    documents = [rng.integers(5, V, n) for n in LENGTHS]
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
    counts = pretraining.targets(cfg, batch)
    return jax.grad(lambda p: pretraining.loss(cfg, p, batch, counts, None)[0])(params)


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_packed_gradients_equal_unpacked(norm):
    cfg = config()
    cfg = dataclasses.replace(cfg, model=dataclasses.replace(cfg.model, norm=norm))
    params = model.init(cfg.model, jax.random.key(0))
    packed, unpacked = packed_and_unpacked()
    one, two = (jax.jit(gradients, static_argnums=0)(cfg, params, b) for b in (packed, unpacked))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-6), one, two)
    assert max(float(jnp.abs(x).max()) for x in jax.tree.leaves(one)) > 1e-3


def test_a_perturbed_document_leaves_its_neighbour_alone():
    cfg = config().model
    params = model.init(cfg, jax.random.key(0))
    packed, _ = packed_and_unpacked()
    changed = {k: v.copy() for k, v in packed.items()}
    changed["tokens"][0, : LENGTHS[0]] = 9
    run = jax.jit(lambda batch: model.apply(cfg, params, batch))
    before, after = run(packed), run(changed)
    np.testing.assert_array_equal(
        before["masked_lm_logits"][0, 2:], after["masked_lm_logits"][0, 2:]
    )
    np.testing.assert_array_equal(
        before["next_sentence_logits"][0, 1], after["next_sentence_logits"][0, 1]
    )
    assert np.abs(before["masked_lm_logits"][0, :2] - after["masked_lm_logits"][0, :2]).max() > 1e-3


def test_a_non_finite_step_changes_nothing_and_is_counted():
    cfg = config()
    mesh = sharding.make_mesh(MeshConfig(1, 1, 1), jax.devices()[:1])
    with jax.set_mesh(mesh):
        state = fresh_state(cfg, mesh)
        kernel = state.params["layer_0"]["attention"]["query"]["kernel"]
        good = np.asarray(kernel)
        state.params["layer_0"]["attention"]["query"]["kernel"] = kernel.at[0, 0].set(jnp.nan)
        before = jax.device_get((state.params, state.optimizer))
        step = make_train_step(cfg, mesh, SPECIAL)
        for n in (1, 2):
            state, metrics = step(state, sharding.to_devices(mesh, batches()[0], B))
            assert (int(metrics["bad_steps"]), int(metrics["skipped"])) == (n, n)
        assert int(state.step) == 2
        jax.tree.map(
            np.testing.assert_array_equal, before, jax.device_get((state.params, state.optimizer))
        )
        state.params["layer_0"]["attention"]["query"]["kernel"] = jax.device_put(good)
        state, metrics = step(state, sharding.to_devices(mesh, batches()[0], B))
    assert (int(metrics["bad_steps"]), int(metrics["skipped"])) == (0, 2)


def test_an_empty_batch_gives_no_nan():
    cfg = config()
    mesh = sharding.make_mesh(MeshConfig(1, 1, 1), jax.devices()[:1])
    empty = {k: np.zeros_like(v) for k, v in batches()[0].items()}
    empty["pair_labels"] -= 1
    with jax.set_mesh(mesh):
        state, metrics = make_train_step(cfg, mesh, SPECIAL)(
            fresh_state(cfg, mesh), sharding.to_devices(mesh, empty, B)
        )
    assert float(metrics["masked_lm_loss"]) == 0.0 and int(metrics["bad_steps"]) == 0
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(jax.device_get(state.params)))


def test_shardings_cover_the_whole_state():
    cfg = config()
    places = state_shardings(cfg, sharding.make_mesh(MeshConfig(2, 2, 2)))
    shapes = jax.eval_shape(lambda: init_state(cfg))
    assert jax.tree.structure(places) == jax.tree.structure(shapes)
