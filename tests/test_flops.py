"""The FLOP formula against counts made another way, and against known figures."""

from __future__ import annotations

from dataclasses import replace

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps
from jax.extend.core import jaxprs_in_params
from tiny_model import MODEL

from bertjax import flops, model
from bertjax.config import ModelConfig

BASE = ModelConfig(vocab_size=30522)
LARGE = ModelConfig(
    vocab_size=30522, hidden_size=1024, num_layers=24, num_heads=16, intermediate_size=4096
)


@pytest.mark.parametrize(
    ("cfg", "length", "predicted", "millions"),
    [(BASE, 128, 20, 546), (BASE, 512, 80, 589), (LARGE, 128, 20, 1880), (LARGE, 512, 80, 1993)],
)
def test_flops_of_a_token_in_full_rows(cfg, length, predicted, millions):
    """6·N + 12·L·D·S + p·(6·D² + 6·D·V) by hand, at 20 of 128 and 80 of 512 predictions."""
    segments = np.ones((4, length), np.int32)
    total = flops.training_flops((cfg,), 4 * length, flops.attended_keys(segments), 4 * predicted)
    assert total / (4 * length) / 1e6 == pytest.approx(millions, abs=0.6)


def test_formula_is_three_times_the_products_of_the_forward_pass():
    """Counted one by one in the traced program; the backward pass has two for each."""
    rows, length, slots = 2, MODEL.max_positions, 3
    ints = jax.ShapeDtypeStruct((rows, length), np.int32)
    batch = {name: ints for name in ("tokens", "token_types", "positions", "segments")}
    batch["cls_positions"] = jax.ShapeDtypeStruct((rows, 1), np.int32)
    batch["predict_positions"] = jax.ShapeDtypeStruct((rows, slots), np.int32)

    def forward(params, batch):
        return model.apply(MODEL, params, batch)["masked_lm_logits"]

    jaxpr = jax.make_jaxpr(forward)(model.abstract_params(MODEL), batch)
    counted = sum(_product_flops(eqn) for eqn in _equations(jaxpr.jaxpr))
    # make_jaxpr keeps what jit would drop: pooler and next-sentence classifier on every [CLS].
    unused = 2 * rows * (MODEL.hidden_size**2 + 2 * MODEL.hidden_size)
    # Nor does the model ask for logits of what only pads its vocabulary.
    padding = MODEL.padded_vocab_size - MODEL.vocab_size
    unused += 2 * rows * slots * MODEL.hidden_size * padding
    ours = flops.training_flops((MODEL,), rows * length, rows * length**2, rows * slots)
    assert ours == 3 * (counted - unused)


@pytest.mark.parametrize("embedding_size", [0, 24])
def test_the_head_of_replaced_tokens_is_on_every_token(embedding_size):
    """As above; the projection of the embeddings is a product too."""
    cfg = replace(
        MODEL,
        embedding_size=embedding_size,
        next_sentence_head=False,
        replaced_token_head=True,
    )
    rows, length = 2, MODEL.max_positions
    ints = jax.ShapeDtypeStruct((rows, length), np.int32)
    batch = {name: ints for name in ("tokens", "token_types", "positions", "segments")}
    jaxpr = jax.make_jaxpr(
        lambda params, batch: model.apply(cfg, params, batch)["replaced_token_logits"]
    )(model.abstract_params(cfg), batch)
    counted = sum(_product_flops(eqn) for eqn in _equations(jaxpr.jaxpr))
    assert flops.training_flops((cfg,), rows * length, rows * length**2, 7) == 3 * counted


def test_a_causal_token_attends_to_itself_and_to_what_was_before():
    cfg = replace(MODEL, attention="causal")
    segments = np.array([[1, 1, 1, 2, 2, 0, 0, 0], [1, 2, 2, 2, 2, 2, 2, 2]])
    both = flops.training_flops((MODEL,), 13, flops.attended_keys(segments), 0)
    causal = flops.training_flops((cfg,), 13, flops.attended_keys(segments), 0)
    same = (segments[:, :, None] == segments[:, None, :]) & (segments != 0)[:, :, None]
    later = np.triu(np.ones((8, 8), bool), 1)
    spared = 12 * MODEL.num_layers * MODEL.hidden_size * (same & later).sum()
    assert both - causal == spared


def _equations(jaxpr):
    for eqn in jaxpr.eqns:
        yield eqn
        for inner in jaxprs_in_params(eqn.params):
            yield from _equations(inner)


def _product_flops(eqn) -> int:
    """2 × multiplications of a dot_general, 0 of anything else."""
    if eqn.primitive.name != "dot_general":
        return 0
    (contracted, _), _ = eqn.params["dimension_numbers"]
    depth = int(np.prod([eqn.invars[0].aval.shape[axis] for axis in contracted]))
    return 2 * depth * int(np.prod(eqn.outvars[0].aval.shape))


@given(nps.arrays(np.int32, nps.array_shapes(min_dims=2, max_dims=2), elements=st.integers(0, 4)))
def test_attended_keys_are_the_pairs_of_one_segment(segments):
    same = (segments[:, :, None] == segments[:, None, :]) & (segments != 0)[:, :, None]
    assert flops.attended_keys(segments) == same.sum()


def test_attended_keys_of_nothing():
    assert flops.attended_keys(np.zeros((2, 8), np.int32)) == 0


# device_kind -> matrix units · multiply-adds of each a cycle · clock: the vendors' architecture
# papers for GPUs, jax-ml/scaling-book tpus.md for TPUs. Each multiply-add is two FLOPs.
UNITS = {
    "NVIDIA A100-SXM4-80GB": (108 * 4, 256, 1.41e9),
    "NVIDIA H100 80GB HBM3": (132 * 4, 512, 1.83e9),
    "NVIDIA H200": (132 * 4, 512, 1.83e9),
    "TPU v4": (2 * 4, 128 * 128, 1.05e9),
    "TPU v5 lite": (4, 128 * 128, 1.5e9),
    "TPU v5": (2 * 4, 128 * 128, 1.75e9),
    "TPU v6 lite": (4, 256 * 256, 1.75e9),
}


@pytest.mark.parametrize("kind", UNITS)
def test_peaks_are_what_the_matrix_units_can_do(kind):
    units, multiply_adds, clock = UNITS[kind]
    assert flops.peak_flops(kind) == pytest.approx(2 * units * multiply_adds * clock, rel=2e-3)


def test_every_peak_is_of_a_chip_whose_units_are_known_and_a_cpu_has_none():
    assert len(flops.PEAK_FLOPS) == len(UNITS)
    assert {flops.peak_flops(kind) for kind in UNITS} == set(flops.PEAK_FLOPS.values())
    assert flops.peak_flops("cpu") is flops.peak_flops("NVIDIA B200") is None
