"""Predicted times against arithmetic by hand, published thresholds and compiled programs."""

from __future__ import annotations

import dataclasses

import jax
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.sharding import AbstractMesh

from bertjax import sharding
from bertjax.config import (
    DataConfig,
    MaskingConfig,
    MeshConfig,
    ModelConfig,
    Phase,
    PretrainConfig,
    TrainConfig,
)
from bertjax.objectives.choice import objective_of
from bertjax.plan.hlo import by_kind, collectives
from bertjax.plan.placement import (
    ArgumentBytes,
    abstract_batch,
    abstract_state,
    argument_bytes,
)
from bertjax.plan.roofline import expected_collectives, roofline
from bertjax.plan.topology import parse_topology
from bertjax.text.special import SpecialIds
from bertjax.train.step import make_train_step

BASE = PretrainConfig(
    model=ModelConfig(vocab_size=30522),
    masking=MaskingConfig(rate=80 / 512),
    train=TrainConfig(compute_dtype="bfloat16"),
)
PARAMETERS = 4 * 110_157_314  # bytes of BERT-base, its table padded to 30,592 pieces
TINY = PretrainConfig(
    model=ModelConfig(
        vocab_size=250,
        hidden_size=64,
        num_layers=2,
        num_heads=4,
        intermediate_size=128,
        max_positions=16,
        hidden_dropout=0.0,
        attention_dropout=0.0,
    ),
    data=DataConfig(phases=(Phase(seq_len=16, batch_size=32),)),
)


def predict(cfg: PretrainConfig, topology: str, rows: int = 4096):
    hardware, phase = parse_topology(topology), Phase(seq_len=512, batch_size=rows)
    mesh = AbstractMesh((hardware.chips, 1, 1), sharding.AXES)
    held = ArgumentBytes(parameters=PARAMETERS, optimizer=2 * PARAMETERS, batch=0)
    traffic = expected_collectives(cfg, phase, mesh, held)
    return roofline(cfg, phase, hardware, traffic, held)


def test_a_step_by_hand():
    """BERT-base at 512 tokens: 589 MFLOP a token; 110.2 M float32 gradients round two rings."""
    roof = predict(BASE, "v5e:16x16")
    assert roof.tokens == 4096 * 512
    assert roof.flops == pytest.approx(4096 * 512 * 589e6, rel=2e-3)
    assert roof.compute == pytest.approx(roof.flops / (256 * 197e12))
    assert roof.communication == pytest.approx(
        2 * 255 / 256 * 4 * 110.2e6 / (2 * 2 * 45e9), rel=2e-3
    )
    # Parameters and two moments read and written, gradients read.
    assert roof.update == pytest.approx(7 * 4 * 110.2e6 / 8.19e11, rel=2e-3)
    assert roof.step == pytest.approx(roof.compute / 0.5 + roof.update)
    assert roof.model_flops_utilisation == pytest.approx(
        589e6 * roof.tokens_per_second / (256 * 197e12), rel=2e-3
    )


@pytest.mark.parametrize(
    ("topology", "tokens_per_chip"), [("v5e:16x16", 1095), ("v5p:4x4x4", 850), ("v6e:16x16", 2555)]
)
def test_threshold_of_the_scaling_book(topology, tokens_per_chip):
    """training.md: data parallelism is compute-bound above C / (W · axes) tokens a chip.

    That is for products alone and gradients of two bytes; ours have four, and the tables, heads
    and attention change the work a byte of gradient comes with by less than a third.
    """
    assert predict(BASE, topology).bound_from == pytest.approx(2 * tokens_per_chip, rel=0.33)


@given(st.integers(1, 64), st.sampled_from(["v5e:16x16", "v5p:4x4x4", "h100:8"]))
def test_more_rows_a_chip_never_lower_the_speed(rows, topology):
    speeds = [predict(BASE, topology, 256 * n).tokens_per_second for n in (rows, rows + 1)]
    assert speeds[0] <= speeds[1] * (1 + 1e-9)


@pytest.mark.parametrize(
    ("topology", "chips", "peak", "bandwidth"),
    [
        ("v5e:2x2", 4, 197e12, 819e9),
        ("v5p:2x2x1", 4, 459e12, 2765e9),
        ("v6e:2x4", 8, 918e12, 1640e9),
        ("a100:8", 8, 312e12, 2039e9),
        ("h100:4", 4, 989e12, 3350e9),
        ("h200:1", 1, 989e12, 4800e9),
    ],
)
def test_predictions_keep_within_the_data_sheet(topology, chips, peak, bandwidth):
    """The limit by hand; what is predicted reaches a third to six tenths of it, as runs do."""
    roof = predict(BASE, topology)
    least = 4096 * 512 * 589e6 / (chips * peak) + 7 * PARAMETERS / bandwidth
    assert roof.most_tokens_per_second == pytest.approx(4096 * 512 / least, rel=3e-3)
    assert 0.35 < roof.tokens_per_second / roof.most_tokens_per_second < 0.6
    products = 589e6 * roof.tokens_per_second / (chips * peak)
    assert roof.model_flops_utilisation == pytest.approx(products, rel=3e-3)
    assert roof.model_flops_utilisation <= roof.utilisation < 0.6


def test_one_chip_has_nothing_to_communicate():
    roof = predict(BASE, "h200:1")
    assert roof.communication == 0 and roof.bound == "compute"


def test_float32_is_slower_on_a_gpu_and_not_on_a_tpu():
    single = dataclasses.replace(BASE, train=TrainConfig(compute_dtype="float32"))
    assert predict(single, "h200:1").compute == 2 * predict(BASE, "h200:1").compute
    assert predict(single, "v5e:2x2").compute == predict(BASE, "v5e:2x2").compute


def compiled_and_expected(mesh_config: MeshConfig) -> tuple[dict, dict]:
    """Collectives of the real step, compiled for eight CPU devices, and those of theory."""
    cfg = dataclasses.replace(TINY, train=TrainConfig(mesh=mesh_config))
    phase, mesh = cfg.data.phases[0], sharding.make_mesh(cfg.train.mesh)
    with jax.set_mesh(mesh):
        step = make_train_step(cfg, objective_of(cfg, SpecialIds(0, 1, 2, 3, 4)), mesh)
        state, batch = abstract_state(cfg, mesh), abstract_batch(cfg, phase, mesh)
        lowered = step.lower(state, batch, 0, None)
    found = collectives(lowered.compile().as_text(), 8)
    held = argument_bytes(cfg, phase, mesh)
    return by_kind(found), by_kind(expected_collectives(cfg, phase, mesh, held))


@pytest.mark.mesh
def test_gradients_are_reduced_once():
    """But for the tied table, twice: once as the head's, once as the embeddings'."""
    found, expected = compiled_and_expected(MeshConfig())
    table = 4 * TINY.model.padded_vocab_size * TINY.model.hidden_size
    assert found.keys() == expected.keys() == {"all-reduce"}
    assert found["all-reduce"][1] == pytest.approx(expected["all-reduce"][1] + table, rel=0.01)


@pytest.mark.mesh
def test_fsdp_gathers_the_parameters_once():
    """Biases and norms, which stay whole, count in theory as if they were gathered, too.

    What follows is no reduce-scatter on the CPU backend; libtpu has one.
    """
    found, expected = compiled_and_expected(MeshConfig(data=2, fsdp=4))
    assert found["all-gather"][1] == pytest.approx(expected["all-gather"][1], rel=0.1)


def test_tensor_parallel_layers_reduce_activations_four_times():
    cfg = dataclasses.replace(TINY, train=TrainConfig(compute_dtype="bfloat16"))
    mesh, held = AbstractMesh((2, 1, 4), sharding.AXES), ArgumentBytes(1000, 2000, 0)
    gradients, activations = expected_collectives(cfg, cfg.data.phases[0], mesh, held)
    assert (gradients.bytes, gradients.group) == (1000, 2)
    assert activations.bytes == 16 * 16 * 64 * 2 and activations.group == 4
    assert activations.times == 4 * cfg.model.num_layers
