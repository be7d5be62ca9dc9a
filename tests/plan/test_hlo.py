"""Collectives read from HLO text, against programs whose collectives are known."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.sharding import Mesh, PartitionSpec

from bertjax.plan.hlo import Collective, array_bytes, by_kind, collectives

WIDTH = 24  # floats of every array below, on each of eight devices
BYTES = 4 * WIDTH


def compiled(function) -> list[Collective]:
    """Collectives of `function`, run on [8 · WIDTH] over a mesh of `a` 2 × `b` 4."""
    mesh = Mesh(np.array(jax.devices()).reshape(2, 4), ("a", "b"))
    spec = PartitionSpec(("a", "b"))
    whole = jax.jit(jax.shard_map(function, mesh=mesh, in_specs=spec, out_specs=spec))
    return collectives(whole.lower(jnp.ones(8 * WIDTH)).compile().as_text(), 8)


def ring(x):
    return jax.lax.ppermute(x, "b", [(i, (i + 1) % 4) for i in range(4)])


@pytest.mark.mesh
@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda x: x + jax.lax.psum(x, ("a", "b")), Collective("all-reduce", BYTES, 8)),
        (lambda x: x + jax.lax.psum(x, "a"), Collective("all-reduce", BYTES, 2)),
        (lambda x: x + jax.lax.psum(x, "b"), Collective("all-reduce", BYTES, 4)),
        (
            lambda x: x + jax.lax.all_gather(x, "b").sum(0),
            Collective("all-gather", 4 * BYTES, 4),
        ),
        (
            lambda x: jnp.tile(jax.lax.psum_scatter(x, "a", tiled=True), 2),
            Collective("reduce-scatter", BYTES, 2),
        ),
        (
            lambda x: jax.lax.all_to_all(x.reshape(4, -1), "b", 0, 0).reshape(-1),
            Collective("all-to-all", BYTES, 4),
        ),
        (ring, Collective("collective-permute", BYTES, 2)),
    ],
    ids=["all", "rows", "columns", "gather", "scatter", "to-all", "permute"],
)
def test_kind_size_and_group(function, expected):
    assert compiled(function) == [expected]


def sum_in_scan(length, x):
    body = lambda total, _: (jnp.sin(total) + jax.lax.psum(total, "b"), None)  # noqa: E731
    return jax.lax.scan(body, x, length=length)[0]


@pytest.mark.mesh
@pytest.mark.parametrize("length", [2, 7])
def test_what_a_loop_holds_runs_once_a_round(length):
    assert compiled(partial(sum_in_scan, length)) == [Collective("all-reduce", BYTES, 4, length)]


@pytest.mark.mesh
def test_nested_loops_multiply():
    def nested(x):
        body = lambda total, _: (sum_in_scan(3, total), None)  # noqa: E731
        return jax.lax.scan(body, x, length=5)[0]

    assert compiled(nested) == [Collective("all-reduce", BYTES, 4, 15)]


@pytest.mark.mesh
def test_a_loop_of_unknown_length_counts_one_round():
    def until(x):
        total = jax.lax.psum(x, "b")
        return jax.lax.while_loop(
            lambda x: x[0] < 100.0, lambda x: x + jax.lax.psum(jnp.sin(x), "b"), x + total
        )

    assert by_kind(compiled(until)) == {"all-reduce": (2, 2 * BYTES)}


def test_one_device_has_no_collective():
    text = jax.jit(lambda x: x @ x).lower(jnp.ones((4, 4))).compile().as_text()
    assert collectives(text, 1) == []


GATHER = "all-gather(%p.1), channel_id=7, replica_groups={groups}, dimensions={{0}}"


@pytest.mark.parametrize(
    ("groups", "size"),
    [
        ("{{0,1,2},{3,4,5}}", 3),
        ("[2,4]<=[8]", 4),
        ("[4,2]<=[2,4]T(1,0)", 2),
        ("mesh['x'=4,'y'=2] {'x'}", 4),
        ("mesh['x'=4,'y'=2] {'x','y'}", 8),
        ("mesh['x'=2,'y'=1,'z'=4], device_ids=([2,4]T(1,0)) {'z'}", 4),
        ("mesh['x'=8] {'x':(2)4}", 4),
        ("{}", 8),
    ],
)
def test_every_way_of_writing_groups(groups, size):
    line = f"  %g.1 = f32[16]{{0}} {GATHER.format(groups=groups)}"
    found = collectives(f"ENTRY %main (p.1: f32[2]) -> f32[16] {{\n{line}\n}}\n", 8)
    assert found == [Collective("all-gather", 64, size)]


# As libtpu 0.0.42 wrote them, shortened: one collective beside two products, and a fused scatter.
TPU = """\
%fused_computation.1 (param_0.1: bf16[1,64]) -> bf16[2,64] {
  %all-gather.1 = bf16[2,64]{1,0:T(8,128)(2,1)} all-gather(%param_0.1), channel_id=55, \
replica_groups=[2,2]<=[4], dimensions={0}, frontend_attributes={chain_id="14"}
}

%async_collective_fusion.2 (param_0.2: bf16[1,64]) -> bf16[2,64] {
  %all-gather.2 = bf16[2,64]{1,0:T(8,128)(2,1)S(1)} all-gather(%param_0.2), channel_id=55, \
replica_groups=[2,2]<=[4], dimensions={0}, frontend_attributes={chain_id="14"}
}

%all-reduce-scatter.3 (input.3: f32[128,64], input.4: f32[64]) -> (f32[64,64], f32[32]) {
  %all-reduce.3 = (f32[128,64]{1,0:T(8,128)}, /*index=1*/f32[64]{0:T(128)}) \
all-reduce(%input.3, %input.4), channel_id=9, replica_groups={{0,2},{1,3}}, to_apply=%add.1
}

ENTRY %main (p: bf16[1,64]) -> bf16[2,64] {
  %start = (bf16[1,64]{1,0}, bf16[2,64]{1,0}) fusion(%p), kind=kCustom, calls=%fused_computation.1
  %step = bf16[2,64]{1,0} fusion(%start), kind=kOutput, calls=%async_collective_fusion.2
  %scatter = (f32[64,64]{1,0}, f32[32]{0}) fusion(%p), kind=kCustom, calls=%all-reduce-scatter.3
  %done = bf16[2,64]{1,0} get-tuple-element(%step), index=1
}
"""


def test_a_tpu_collective_beside_others_is_one_and_a_fused_scatter_is_one():
    assert collectives(TPU, 4) == [
        Collective("all-gather", 2 * 2 * 64, 2),
        Collective("reduce-scatter", 4 * (128 * 64 + 64), 2),
    ]


def test_started_collectives_count_their_results():
    text = (
        "ENTRY %main (p: f32[2]) -> f32[8] {\n"
        "  %a = ((f32[2]{0:T(128)}, bf16[4]), (f32[8], bf16[16])) all-gather-start(%p, %q), "
        "channel_id=1, replica_groups=[1,4]<=[4], dimensions={0}\n"
        "  %b = f32[8] all-gather-done(%a)\n"
        "  %c = (f32[2,3]{1,0}, f32[2,3]{1,0}, u32[], u32[]) collective-permute-start(%p), "
        "channel_id=2, source_target_pairs={{0,1},{1,0}}\n"
        "  %d = (f32[2], f32[4]) all-reduce-start(%p, %q), channel_id=3, "
        "replica_groups={{0,1,2,3}}, to_apply=%add\n}\n"
    )
    assert collectives(text, 4) == [
        Collective("all-gather", 4 * 8 + 2 * 16, 4),
        Collective("collective-permute", 24, 2),
        Collective("all-reduce", 24, 4),
    ]


@given(st.lists(st.integers(1, 50), max_size=4), st.sampled_from(["f32", "bf16", "s8", "pred"]))
def test_bytes_of_an_array(shape, dtype):
    names = {"f32": jnp.float32, "bf16": jnp.bfloat16, "s8": jnp.int8, "pred": jnp.bool_}
    text = f"{dtype}[{','.join(map(str, shape))}]{{0:T(8,128)(2,1)}}"
    assert array_bytes(text) == int(np.prod(shape)) * jnp.dtype(names[dtype]).itemsize
    assert array_bytes(f"({text}, /*index=1*/{text})") == 2 * array_bytes(text)


@pytest.mark.parametrize(
    ("kind", "sent"),
    [("all-reduce", 150.0), ("all-gather", 75.0), ("reduce-scatter", 75.0)],
)
def test_bytes_a_ring_sends(kind, sent):
    assert Collective(kind, 100, 4).sent == sent
    assert Collective(kind, 100, 4, times=3).sent == 3 * sent
