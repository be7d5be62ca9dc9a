"""The hash of a state: any bit of any array counts, and where the arrays lie does not."""

from __future__ import annotations

import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_model
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.sharding import NamedSharding, PartitionSpec

from bertjax.train.state_hash import begin_hash, end_hash

pytestmark = pytest.mark.mesh

TREE = {
    "a": np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32),
    "b": {"c": np.arange(7, dtype=np.int32), "d": np.zeros((4, 2, 2), np.float32)},
    "e": np.ones(6, jnp.bfloat16),
    "step": np.array(9, np.int32),
}


def words(leaf: np.ndarray) -> list[int]:
    """The bits of each entry as an integer."""
    size = leaf.dtype.itemsize
    raw = np.ascontiguousarray(leaf).tobytes()
    return [int.from_bytes(raw[i : i + size], "little") for i in range(0, len(raw), size)]


def fmix32(word: int) -> int:
    """MurmurHash3's finalizer, as its author wrote it (smhasher, MurmurHash3.cpp)."""
    word ^= word >> 16
    word = word * 0x85EBCA6B % 2**32
    word ^= word >> 13
    word = word * 0xC2B2AE35 % 2**32
    return word ^ word >> 16


def state_hash(tree) -> str:
    return end_hash(begin_hash(tree))


def test_it_is_what_its_definition_says():
    total = 0
    for name, leaf in (
        ("a", TREE["a"]),
        ("b/c", TREE["b"]["c"]),
        ("b/d", TREE["b"]["d"]),
        ("e", TREE["e"]),
        ("step", TREE["step"]),
    ):
        mixed = (fmix32(word ^ i * 0x9E3779B1 % 2**32) for i, word in enumerate(words(leaf)))
        total += fmix32(sum(mixed) % 2**32 ^ zlib.crc32(name.encode()))
    assert state_hash(TREE) == f"{total % 2**32:08x}"


@settings(max_examples=60)
@given(st.data())
def test_every_single_bit_counts(data):
    leaves, form = jax.tree.flatten(TREE)
    which = data.draw(st.integers(0, len(leaves) - 1))
    flipped = np.array(leaves[which])
    raw = flipped.reshape(-1).view(np.uint8)
    raw[data.draw(st.integers(0, raw.size - 1))] ^= 1 << data.draw(st.integers(0, 7))
    changed = [flipped if i == which else leaf for i, leaf in enumerate(leaves)]
    assert state_hash(jax.tree.unflatten(form, changed)) != state_hash(TREE)


def test_signs_that_change_together_and_values_that_change_places_count():
    a = TREE["a"]
    for other in (-a, a[:, ::-1], a[::-1]):
        assert state_hash(TREE | {"a": other}) != state_hash(TREE)
    swapped = TREE | {"b": {"c": TREE["b"]["c"], "d": TREE["b"]["d"].reshape(2, 2, 4)}}
    assert state_hash(swapped) == state_hash(TREE)  # the same words at the same places


@pytest.mark.parametrize("axes", [(2, 1, 1), (2, 2, 2)])
def test_it_does_not_depend_on_the_mesh(axes):
    mesh = tiny_model.mesh(*axes)
    a = np.random.default_rng(1).normal(size=(8, 4)).astype(np.float32)
    expected = state_hash({"a": a})
    for spec in (PartitionSpec(), PartitionSpec("data"), PartitionSpec(("data", "fsdp"), "tensor")):
        placed = jax.device_put(a, NamedSharding(mesh, spec))
        assert state_hash({"a": placed}) == expected
