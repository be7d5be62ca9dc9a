"""The hash of a state: any bit of any array counts, and where the arrays lie does not."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_model
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.sharding import NamedSharding, PartitionSpec

from bertjax.train.state_hash import shown, state_hash

TREE = {
    "a": np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32),
    "b": {"c": np.arange(7, dtype=np.int32), "d": np.zeros((4, 2, 2), np.float32)},
    "e": np.ones(6, jnp.bfloat16),
    "step": np.int32(9),
}


def words(leaf: np.ndarray) -> list[int]:
    """The bits of each entry as an integer."""
    size = leaf.dtype.itemsize
    raw = np.ascontiguousarray(leaf).tobytes()
    return [int.from_bytes(raw[i : i + size], "little") for i in range(0, len(raw), size)]


def by_hand() -> int:
    """The definition, one word at a time in Python's integers (MurmurHash3's fmix32)."""
    import zlib

    total = 0
    for name, leaf in (
        ("a", TREE["a"]),
        ("b/c", TREE["b"]["c"]),
        ("b/d", TREE["b"]["d"]),
        ("e", TREE["e"]),
        ("step", TREE["step"]),
    ):
        for place, word in enumerate(words(np.asarray(leaf))):
            word ^= (place + zlib.crc32(name.encode())) * 0x9E3779B1 % 2**32
            word = (word ^ word >> 16) * 0x85EBCA6B % 2**32
            word = (word ^ word >> 13) * 0xC2B2AE35 % 2**32
            total += word ^ word >> 16
    return total % 2**32


def test_it_is_what_its_definition_says():
    assert int(state_hash(TREE)) == by_hand()
    assert shown(np.uint32(255)) == "000000ff"


@settings(max_examples=60)
@given(st.data())
def test_every_single_bit_counts(data):
    leaves, form = jax.tree.flatten(TREE)
    which = data.draw(st.integers(0, len(leaves) - 1))
    flipped = np.array(leaves[which])
    raw = flipped.reshape(-1).view(np.uint8)
    raw[data.draw(st.integers(0, raw.size - 1))] ^= 1 << data.draw(st.integers(0, 7))
    changed = [flipped if i == which else leaf for i, leaf in enumerate(leaves)]
    assert int(state_hash(jax.tree.unflatten(form, changed))) != int(state_hash(TREE))


def test_signs_that_change_together_and_values_that_change_places_count():
    a = TREE["a"]
    for other in (-a, a[:, ::-1], a[::-1]):
        assert int(state_hash(TREE | {"a": other})) != int(state_hash(TREE))
    swapped = TREE | {"b": {"c": TREE["b"]["c"], "d": TREE["b"]["d"].reshape(2, 2, 4)}}
    assert int(state_hash(swapped)) == int(state_hash(TREE))  # the same words at the same places


@pytest.mark.parametrize("axes", [(2, 1, 1), (2, 2, 2)])
def test_it_does_not_depend_on_the_mesh(axes):
    mesh = tiny_model.mesh(*axes)
    a = np.random.default_rng(1).normal(size=(8, 4)).astype(np.float32)
    expected = int(state_hash({"a": a}))
    for spec in (PartitionSpec(), PartitionSpec("data"), PartitionSpec(("data", "fsdp"), "tensor")):
        placed = jax.device_put(a, NamedSharding(mesh, spec))
        assert int(state_hash({"a": placed})) == expected
