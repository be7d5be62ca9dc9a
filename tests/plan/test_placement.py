"""What a chip holds by theory, against arrays that are really there."""

from __future__ import annotations

import re
from dataclasses import replace

import jax
import numpy as np
import pytest

from bertjax import sharding
from bertjax.config import (
    DataConfig,
    MeshConfig,
    ModelConfig,
    OptimConfig,
    Phase,
    PretrainConfig,
    TrainConfig,
)
from bertjax.data.batches import BatchSource
from bertjax.data.corpus import SENTENCE, WORD, Corpus
from bertjax.errors import UserError
from bertjax.plan.placement import (
    abstract_batch,
    abstract_state,
    argument_bytes,
    batch_shards,
    check_mesh,
)
from bertjax.plan.topology import parse_topology
from bertjax.text.special import SpecialIds

ALL_DATA = MeshConfig()


def config(mesh: MeshConfig = ALL_DATA, accumulate: int = 1, **data) -> PretrainConfig:
    return PretrainConfig(
        model=ModelConfig(
            vocab_size=250,
            hidden_size=32,
            num_layers=2,
            num_heads=4,
            intermediate_size=64,
            max_positions=32,
        ),
        data=DataConfig(**{"phases": (Phase(seq_len=32, batch_size=16),), **data}),
        train=TrainConfig(steps=10, mesh=mesh, accumulate=accumulate),
    )


def corpus() -> Corpus:
    """Forty documents of two sentences of ten words."""
    tokens = np.random.default_rng(0).integers(5, 250, 800).astype(np.uint16)
    boundaries = np.full(800, WORD, np.uint8)
    boundaries[::10] |= SENTENCE
    return Corpus(
        tokens=tokens,
        boundaries=boundaries,
        document_starts=np.arange(0, 801, 20),
        sentence_starts=np.arange(0, 801, 10),
        special=SpecialIds(pad=0, unk=1, cls=2, sep=3, mask=4),
        vocab_size=250,
        fingerprint="",
        identity="",
    )


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"max_packed": 3},
        {"format": "full_sentences"},
        {"phases": (Phase(16, 8, 0.5), Phase(32, 24, 0.5))},
    ],
    ids=["pairs", "packed", "sentences", "phases"],
)
def test_batches_have_the_shapes_of_real_ones(data):
    cfg = config(**data)
    mesh = check_mesh(cfg, parse_topology("h200:8"))
    for index, phase in enumerate(cfg.data.phases):
        real = BatchSource(corpus(), cfg.data, index, seed=0).batch(0)
        planned = abstract_batch(cfg, phase, mesh)
        assert {k: (v.shape, v.dtype) for k, v in planned.items()} == {
            k: (v.shape, v.dtype) for k, v in real.items()
        }


@pytest.mark.mesh
@pytest.mark.parametrize("average", [0.0, 0.999])
@pytest.mark.parametrize("sizes", [(8, 1, 1), (2, 2, 2), (1, 8, 1), (4, 1, 2)])
def test_bytes_are_those_of_arrays_on_a_device(sizes, average):
    cfg = replace(config(MeshConfig(*sizes)), optim=OptimConfig(average=average))
    planned = argument_bytes(cfg, cfg.data.phases[0], check_mesh(cfg, parse_topology("h200:8")))
    mesh = sharding.make_mesh(cfg.train.mesh)
    state = jax.tree.map(
        lambda s: jax.device_put(np.zeros(s.shape, s.dtype), s.sharding), abstract_state(cfg, mesh)
    )
    batch = BatchSource(corpus(), cfg.data, 0, seed=0).batch(0)
    placed = sharding.to_devices(mesh, batch, cfg.data.phases[0].batch_size)

    def on_first_device(tree) -> int:
        return sum(x.addressable_shards[0].data.nbytes for x in jax.tree.leaves(tree))

    assert planned.parameters == on_first_device(state.params)
    assert planned.optimizer == on_first_device((state.optimizer, state.average))
    assert planned.batch == on_first_device(placed)


@pytest.mark.parametrize(
    ("topology", "mesh", "accumulate", "said"),
    [
        ("v5e:4x4", MeshConfig(tensor=8), 1, "num_heads=4: use train.mesh.tensor=4"),
        ("v5e:2x2", MeshConfig(tensor=3), 1, "product must be 4"),
        ("v5e:2x2", MeshConfig(data=8), 1, "product must be 4"),
        ("v5e:4x8", MeshConfig(), 1, "use a multiple of 32"),
        ("v5e:4x4", MeshConfig(), 4, "use a multiple of 64"),
        ("v5e:8x8", MeshConfig(fsdp=64), 1, "not divisible by train.mesh.fsdp=64"),
    ],
)
def test_what_does_not_divide_is_refused_in_one_line(topology, mesh, accumulate, said):
    with pytest.raises(UserError, match=re.escape(said)) as error:
        check_mesh(config(mesh, accumulate), parse_topology(topology))
    assert "\n" not in str(error.value)


def test_a_batch_is_shared_by_data_fsdp_and_micro_batches():
    cfg = config(MeshConfig(data=2, fsdp=2, tensor=2), accumulate=2)
    assert batch_shards(cfg, check_mesh(cfg, parse_topology("h200:8"))) == 8
