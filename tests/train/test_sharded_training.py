"""Meshes and micro-batches change where a step is computed, never what it computes."""

from __future__ import annotations

import dataclasses
from functools import cache

import jax
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

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
from bertjax.objectives.choice import objective_of
from bertjax.text.special import SpecialIds
from bertjax.train.state import fresh_state, init_state, state_shardings
from bertjax.train.step import make_train_step

pytestmark = pytest.mark.mesh

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
        step = make_train_step(cfg, objective_of(cfg, SPECIAL), mesh)
        losses = []
        for batch in batches():
            state, metrics = step(state, sharding.to_devices(mesh, batch, B), 0, None)
            losses.append((metrics["masked_lm_loss"], metrics["next_sentence_loss"]))
    return np.array(jax.device_get(losses)), jax.device_get(state.params)


@pytest.mark.parametrize(
    ("optimizer", "shape", "accumulate"),
    [
        ("adamw", (8, 1, 1), 1),
        pytest.param("adamw", (2, 4, 1), 1, marks=pytest.mark.slow),
        ("adamw", (2, 2, 2), 1),
        pytest.param("adamw", (1, 1, 1), 2, marks=pytest.mark.slow),
        pytest.param("adamw", (2, 2, 2), 2, marks=pytest.mark.slow),
        pytest.param("adamw", (1, 1, 1), 4, marks=pytest.mark.slow),
        pytest.param("muon", (2, 2, 2), 1, marks=pytest.mark.slow),
        pytest.param("lamb", (2, 2, 2), 1, marks=pytest.mark.slow),
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
    assert words.sharding.spec == P("tensor", "fsdp")
    assert words.addressable_shards[0].data.shape == (words.shape[0] // 2, words.shape[1] // 2)
    moments = [x for x in jax.tree.leaves(state.optimizer) if x.shape == words.shape]
    assert len(moments) == 2 and all(m.sharding == words.sharding for m in moments)


def test_padded_vocabulary_stays_zero():
    for optimizer in ("adamw", "muon", "lamb"):
        table = train(optimizer, (1, 1, 1), 1)[1]["embeddings"]["word_embeddings"]["embedding"]
        assert table.shape[0] == 256 and not table[V:].any() and table[:V].any()


def test_a_dimension_must_divide_over_its_axis_of_the_mesh():
    mesh = sharding.make_mesh(MeshConfig(1, 1, 8))
    with pytest.raises(
        UserError, match=r"kernel has a dimension of 12, not divisible by .*tensor=8"
    ):
        narrow = dataclasses.replace(config().model, hidden_size=12)
        sharding.parameter_shardings(mesh, model.abstract_params(narrow), model.describe(narrow))


def test_a_mesh_that_does_not_fit_is_refused():
    with pytest.raises(UserError, match="does not fit 8 devices"):
        sharding.make_mesh(MeshConfig(3, 1, 1))
    with pytest.raises(UserError, match="use a multiple of 16"):
        sharding.process_rows(sharding.make_mesh(MeshConfig(8, 1, 1)), 24, 2)


def test_shardings_cover_the_whole_state():
    cfg = config()
    places = state_shardings(cfg, sharding.make_mesh(MeshConfig(2, 2, 2)))
    shapes = jax.eval_shape(lambda: init_state(cfg, 0))
    assert jax.tree.structure(places) == jax.tree.structure(shapes)
