"""A kernel that is not attention is refused by name before the first step; a right one is not.

Kernels run in interpret mode, and wrong ones are made of plain attention.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import pytest
import tiny_model

from bertjax.errors import UserError
from bertjax.model.attention import Call, difference, kernels, rows_at_once
from bertjax.model.attention.reference import reference
from bertjax.train import devices

CALL = Call("gpu", "float32", 128, 16, "packed")


def plain(q, k, v, ids, interpret):
    return reference(q, k, v, ids, None, 0.0, None)


@jax.custom_vjp
def without_gradient_of_one(v):
    return v


without_gradient_of_one.defvjp(lambda v: (v, None), lambda _, d: (d.at[0, 0].set(0.0),))

WRONG = {
    "output": lambda q, k, v, ids, i: plain(q, k, v, ids, i) * 1.01,
    "one place of it": lambda q, k, v, ids, i: plain(q, k, v, ids, i).at[1, 3, 0, 2].add(0.1),
    "gradient": lambda q, k, v, ids, i: plain(q, k, without_gradient_of_one(v), ids, i),
    "segments": lambda q, k, v, ids, i: plain(q, k, v, jnp.minimum(ids, 1), i),
    "not finite": lambda q, k, v, ids, i: plain(q, k, v, ids, i) / 0.0,
}


@pytest.mark.parametrize("backend", ["triton", "splash"])
def test_the_kernels_of_jax_track_plain_attention(backend):
    call = replace(CALL, platform="tpu" if backend == "splash" else "gpu")
    found = difference(backend, call, 2, 1, interpret=True)
    assert found.tracks("float32") and found.output < 1e-5 and found.gradients < 1e-5


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_found(what, monkeypatch):
    monkeypatch.setattr(kernels, "triton", WRONG[what])
    assert not difference("triton", CALL, 2, 2).tracks("float32")


def test_rounding_is_not_taken_for_a_mistake(monkeypatch):
    monkeypatch.setattr(kernels, "triton", plain)
    call = replace(CALL, dtype="bfloat16")
    found = difference("triton", call, 2, 2)
    assert found.tracks("bfloat16") and not found.tracks("float32")


@pytest.mark.mesh
def test_a_run_is_refused_before_its_first_step(monkeypatch):
    """On a mesh, in the shapes of the run."""
    cfg = replace(tiny_model.RUN, train=replace(tiny_model.RUN.train, accumulate=2))
    mesh, asked = tiny_model.mesh(2, 1, 2), []

    def ask(backend, call, rows, heads):
        asked.append((backend, call.seq_len, call.head_size, rows, heads))
        return difference(backend, call, rows, heads)

    monkeypatch.setattr(devices, "choose", lambda wanted, call: ("triton", "the fastest"))
    monkeypatch.setattr(devices, "difference", ask)
    monkeypatch.setattr(kernels, "triton", plain)
    with jax.set_mesh(mesh):
        devices.check_kernels(cfg, mesh)
        assert asked == [("triton", tiny_model.ROW, 8, tiny_model.ROWS // 2, 4)]
        monkeypatch.setattr(kernels, "triton", WRONG["output"])
        with pytest.raises(UserError, match="attention kernel triton on cpu") as caught:
            devices.check_kernels(cfg, mesh)
    assert "8 padded rows of 16, 4 heads of 8, float32: output 1.0e-02" in str(caught.value)
    assert "use train.attention=reference" in str(caught.value)


def test_plain_backends_cost_nothing(monkeypatch):
    monkeypatch.setattr(devices, "difference", None)
    devices.check_kernels(tiny_model.RUN, tiny_model.mesh())


def test_rows_are_those_that_plain_attention_has_room_for():
    rows = partial(rows_at_once, replace(CALL, seq_len=512))
    assert rows(64, 12, 4) == 64
    assert rows(2048, 12, 4) == 4 * 85
    assert rows_at_once(replace(CALL, seq_len=8192), 64, 12, 8) == 8
