"""Every member of the family through the same training: a new one is a line in tests/family.py."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_model
from family import FAMILY
from golden import require_golden
from tiny_model import MODEL, RUN, SPECIAL, by_path, largest_difference, mesh

from bertjax import model, sharding
from bertjax.checkpoint import CheckpointStore
from bertjax.config import ModelConfig, PretrainConfig, ReplacedTokensConfig
from bertjax.flops import training_flops
from bertjax.model import networks
from bertjax.objectives.choice import objective_of
from bertjax.train.compute import compute_of
from bertjax.train.state import (
    TrainState,
    abstract_state,
    checkpoint_items,
    restored_state,
    state_shardings,
)
from bertjax.train.step import gradients

pytestmark = pytest.mark.mesh

# Another mesh and another way of computing at once: none may change what is learnt.
WAYS = {
    "data and tensor, accumulated": ((2, 1, 4), {"accumulate": 2}),
    "data and fsdp, scanned": ((2, 4, 1), {"scan_layers": True}),
    "all three, dots kept": ((2, 2, 2), {"remat": "dots"}),
}
# What is computed by no other member's fields.
OTHERS = ("electra-wide", "ernie", "albert", "mobilebert-tiny")
MEMBERS = {name: fields for name, fields in FAMILY.items() if name not in OTHERS}


def architecture(name: str) -> ModelConfig:
    """With sizes that divide over every mesh here."""
    fields = dict(MEMBERS[name]) | {"hidden_size": 32, "num_heads": 4}
    fields |= {field: 8 for field in ("embedding_size", "bottleneck_size") if field in fields}
    return replace(MODEL, **fields)


def run(name: str, **train) -> PretrainConfig:
    network = architecture(name)
    data = RUN.data if network.next_sentence_head else replace(RUN.data, format="doc_sentences")
    cfg = replace(RUN, model=network, data=data, train=replace(RUN.train, **train))
    if name == "electra":
        pair = ReplacedTokensConfig(weight=50.0, generator_size=0.5)
        cfg = replace(cfg, replaced_tokens=pair)
    return cfg.with_trained_heads()


@cache
def drawn(name: str) -> dict:
    """Weights of all networks, large enough that mistakes show; none is compiled to make them."""
    draw = np.random.default_rng(0)

    def leaf(path, like):
        values = draw.normal(0, 0.1, like.shape) + (path[-1].key == "scale")
        return values.astype(np.float32)

    return jax.tree_util.tree_map_with_path(leaf, networks.abstract_params(run(name)))


def learnt(name: str, axes: tuple[int, int, int], **train):
    """Gradients of a batch, and its losses.

    Masks and optimizer are the same for all members: `test_sharded_training.py` has whole steps.
    """
    cfg, where = run(name, **train), mesh(*axes)
    objective = objective_of(cfg, SPECIAL, tiny_model.VOCAB)
    masked = jax.device_get(objective.corrupt(tiny_model.source(cfg.data).batch(0), 0))
    with jax.set_mesh(where):
        places, rows = state_shardings(cfg, where).params, sharding.batch_sharding(where)

        def of_batch(params, batch):
            state = TrainState(jnp.zeros((), jnp.int32), params, None, None, 0, 0)
            compute = compute_of(cfg, where)
            found, sums = gradients(cfg, objective, compute, places, state, batch, 0)
            return found, {key: mean.value() for key, mean in sums.items()}

        shardings = {"in_shardings": (places, rows), "out_shardings": (places, None)}
        given = jax.device_put(drawn(name), places), jax.device_put(masked, rows)
        return jax.device_get(jax.jit(of_batch, **shardings)(*given))


@cache
def plainly(name: str):
    return learnt(name, (1, 1, 1))


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", MEMBERS)
def test_no_mesh_and_no_way_of_computing_changes_what_is_learnt(name, way):
    axes, train = WAYS[way]
    found, losses = learnt(name, axes, **train)
    expected, expected_losses = plainly(name)
    for key, value in expected_losses.items():
        assert losses[key] == pytest.approx(value, abs=1e-5), key
    ours, theirs = by_path(found), by_path(expected)
    assert ours.keys() == theirs.keys()
    largest = max(np.abs(gradient).max() for gradient in theirs.values())
    for path, gradient in theirs.items():
        # Of keys' biases the true gradient is zero.
        scale = max(np.abs(gradient).max(), 1e-2 * largest)
        np.testing.assert_allclose(ours[path], gradient, 0, 2e-5 * scale, err_msg=path)


@pytest.mark.slow
@pytest.mark.parametrize("name", MEMBERS)
def test_losses_and_gradients_are_those_that_were(name):
    gradients, losses = plainly(name)
    squares = sum(np.square(x, dtype=np.float64).sum() for x in by_path(gradients).values())
    require_golden(name, {"gradient_norm": np.sqrt(squares)} | losses)


@pytest.mark.parametrize("name", MEMBERS)
def test_what_is_saved_is_what_is_restored(name, tmp_path):
    """As a run that is killed goes on: `test_resume.py` kills one."""
    cfg, where = run(name), mesh()
    state = jax.tree.map(lambda like: np.zeros(like.shape, like.dtype), abstract_state(cfg, where))
    items = checkpoint_items(state._replace(params=drawn(name)))
    store = CheckpointStore(tmp_path / "checkpoints", keep=1)
    store.save(1, items, {})
    store.wait()
    with jax.set_mesh(where):
        found = restored_state(store.restore(checkpoint_items(abstract_state(cfg, where))).items)
    assert by_path(found.params).keys() == by_path(drawn(name)).keys()
    assert largest_difference(found.params, drawn(name)) == 0.0


@pytest.mark.parametrize("name", MEMBERS)
def test_what_shares_a_row_is_computed_as_if_alone(name):
    cfg = replace(architecture(name), next_sentence_head=False)
    params = jax.jit(partial(model.init, cfg))(jax.random.key(0))
    draw = np.random.default_rng(0)
    tokens = draw.integers(5, tiny_model.VOCAB, (1, 16))
    lengths = (5, 8)
    starts = np.cumsum((0, *lengths))
    segments, positions = np.zeros((2, 1, 16), int)
    for i, (start, length) in enumerate(zip(starts, lengths, strict=False)):
        segments[0, start : start + length] = i + 1
        positions[0, start : start + length] = np.arange(length)
    batch = {"tokens": tokens, "token_types": 0 * tokens, "positions": positions}
    packed = {key: value.astype(np.int32) for key, value in batch.items()}
    packed["segments"] = segments.astype(np.int32)
    hidden = np.asarray(model.apply(cfg, params, packed)["hidden"])
    for start, length in zip(starts, lengths, strict=False):
        own = {key: np.zeros((1, 16), np.int32) for key in packed}
        for key, value in packed.items():
            own[key][0, :length] = value[0, start : start + length]
        own["segments"] = np.minimum(own["segments"], 1)
        alone = np.asarray(model.apply(cfg, params, own)["hidden"])
        np.testing.assert_allclose(hidden[0, start : start + length], alone[0, :length], atol=2e-6)


@pytest.mark.parametrize("name", MEMBERS)
def test_flops_are_those_of_the_matrices(name):
    """Six for each entry of a matrix that a token goes through, and 12 N·H for a key in a layer."""
    cfg = run(name)
    if cfg.generator is not None:
        cfg = replace(cfg, replaced_tokens=ReplacedTokensConfig()).with_trained_heads()
    facts, shapes = model.describe(cfg.model), tiny_model.by_path_of_shapes(cfg.model)
    uses = {i: cfg.model.layer_weights.count(i) for i in cfg.model.layer_weights}
    entries = sum(
        int(np.prod(shapes[path])) * uses[int(path.split("/")[0][6:])]
        for path, one in facts.items()
        if one.group == "block_matrix"
    )
    if cfg.model.embedding_size:
        entries += int(np.prod(shapes["embeddings/projection/kernel"]))
    of_scores = 12 * cfg.model.num_heads * cfg.model.head_size * cfg.model.num_layers
    assert training_flops([cfg.model], 1.0, 1.0, 0.0) == 6 * entries + of_scores
