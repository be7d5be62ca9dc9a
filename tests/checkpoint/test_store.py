"""Checkpoints: what is restored is what was saved, and the newest are kept."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from tiny_state import abstract, assert_same_bits

from bertjax.checkpoint import CheckpointStore, arrays, manifest
from bertjax.errors import UserError

# Round trips.


def test_round_trip_is_exact(saved, states):
    restored = CheckpointStore(saved, keep=3).restore(abstract(states[30]))
    assert restored.step == 30
    assert restored.meta == {"step": 30, "note": "é"}
    assert restored.rejected == []
    assert_same_bits(restored.items, states[30])


def test_parameters_are_restored_alone_and_older_steps_by_number(saved, states):
    wanted = {"params": abstract(states[10]["params"])}
    restored = CheckpointStore(saved, keep=3).restore(wanted, step=10)
    assert set(restored.items) == {"params"}
    assert_same_bits(restored.items["params"], states[10]["params"])


def test_leaves_without_a_sharding_go_to_one_device(saved, states):
    bare = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), states[30]["params"])
    restored = CheckpointStore(saved, keep=3).restore({"params": bare})
    assert_same_bits(restored.items["params"], states[30]["params"])


def test_special_bit_patterns_survive(tmp_path):
    """Every bfloat16 there is (NaNs with payloads too), and float32 from random bits."""
    bits = np.random.default_rng(0).integers(0, 2**32, 4096, np.uint32)
    items = {
        "params": {
            "all": jnp.asarray(np.arange(2**16, dtype=np.uint16).view(jnp.bfloat16)),
            "random": jnp.asarray(bits.view(np.float32)),
        }
    }
    store = CheckpointStore(tmp_path, keep=1)
    store.save(0, items, {})
    store.wait()
    assert_same_bits(store.restore(abstract(items)).items, items)


@pytest.mark.mesh
def test_other_meshes_restore_the_same_numbers(tmp_path):
    devices = np.array(jax.devices())
    wide = Mesh(devices.reshape(2, 4), ("data", "fsdp"))
    value = np.random.default_rng(1).normal(size=(16, 8)).astype(np.float32)
    items = {
        "params": {
            "kernel": jax.device_put(value, NamedSharding(wide, P("fsdp", None))),
            "both": jax.device_put(value, NamedSharding(wide, P("data", "fsdp"))),
            "whole": jax.device_put(value, NamedSharding(wide, P())),
        }
    }
    store = CheckpointStore(tmp_path, keep=1)
    store.save(1, items, {})
    store.wait()
    meshes = [Mesh(devices[:n].reshape(n // k, k), ("data", "fsdp")) for n, k in ((4, 2), (1, 1))]
    for mesh in [*meshes, Mesh(devices.reshape(8, 1), ("data", "fsdp"))]:
        sharding = NamedSharding(mesh, P("data", "fsdp"))
        target = jax.tree.map(
            lambda x, s=sharding: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), items
        )
        result = store.restore(target).items
        assert_same_bits(result, items)
        assert all(leaf.sharding == sharding for leaf in jax.tree.leaves(result))


def test_arrays_may_be_donated_as_soon_as_save_returns(tmp_path):
    overwrite = jax.jit(lambda tree: jax.tree.map(lambda x: x * 0 - 1, tree), donate_argnums=0)
    items = {"params": {f"w{i}": jnp.full((256, 1024), i, jnp.float32) for i in range(8)}}
    expected = jax.tree.map(lambda x: np.array(x, copy=True), items)
    store = CheckpointStore(tmp_path, keep=1)
    store.save(1, items, {})
    for _ in range(3):
        items = overwrite(items)
    jax.block_until_ready(items)
    store.wait()
    assert_same_bits(store.restore(abstract(items)).items, expected)


# Rotation.


def test_only_the_newest_are_kept_and_each_goes_after_its_successor_is_sealed(tmp_path, states):
    store = CheckpointStore(tmp_path, keep=2)
    for step in range(5):
        store.save(step, {"params": states[10]["params"]}, {})
        # Whatever the background does meanwhile, an earlier step is whole.
        if step > 0:
            manifest.verify(tmp_path / str(step - 1))
    store.wait()
    assert store.steps() == [3, 4]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["3", "4"]


def test_saving_a_step_again_replaces_it_and_a_rewound_run_drops_its_old_future(copied, states):
    store = CheckpointStore(copied, keep=3)
    store.save(20, states[10], {"again": True})
    store.wait()
    assert store.steps() == [10, 20]
    restored = store.restore(abstract(states[10]))
    assert (restored.step, restored.meta) == (20, {"again": True})
    assert_same_bits(restored.items, states[10])


def test_a_replacement_killed_between_its_two_renames_loses_nothing(copied, states):
    (copied / "30").rename(copied / "30.replaced")
    restored = CheckpointStore(copied, keep=3).restore(abstract(states[30]))
    assert restored.step == 30
    assert_same_bits(restored.items, states[30])


def test_nothing_there(tmp_path, states):
    store = CheckpointStore(tmp_path / "absent", keep=1)
    assert store.restore(abstract(states[10])) is None
    assert (store.steps(), store.latest_verified_step(), store.read_meta()) == ([], None, None)
    assert not (tmp_path / "absent").exists()


# Restoring into something else.


def test_other_shapes_types_and_names_are_refused_by_path(saved, states):
    store = CheckpointStore(saved, keep=3)
    params = abstract(states[30]["params"])
    kernel = params["encoder"]["kernel"]
    for change, message in [
        (
            {"encoder": {**params["encoder"], "kernel": kernel.update(shape=(16, 9))}},
            r"params/encoder/kernel is float32\[16, 8\] there and float32\[16, 9\] here",
        ),
        ({"embedding": params["embedding"].update(dtype=jnp.bfloat16)}, "bfloat16"),
        ({"new": kernel}, r"params/new is absent there and float32\[16, 8\] here"),
    ]:
        with pytest.raises(UserError, match=message):
            store.restore({"params": {**params, **change}})
    with pytest.raises(UserError, match=r"bias is bfloat16\[8\] there and absent here"):
        store.restore({"params": {**params, "encoder": {"kernel": kernel}}})
    with pytest.raises(UserError, match="holds no 'ema'"):
        store.restore({"ema": params})
    with pytest.raises(UserError, match=r"\(and \d+ more\)"):
        store.restore({"optimizer": params})


def test_meta_is_taken_when_save_is_called(tmp_path, states):
    store = CheckpointStore(tmp_path, keep=1)
    meta = {"history": [1.5]}
    store.save(1, {"params": states[10]["params"]}, meta)
    meta["history"].append(2.5)
    store.wait()
    assert store.read_meta() == {"history": [1.5]}
    with pytest.raises(ValueError):
        store.save(2, states[10], {"loss": float("nan")})


def test_array_tables_name_every_leaf(states):
    table = arrays.describe(states[10]["optimizer"])
    assert table["1/0/mu/encoder/kernel"] == [[16, 8], "float32"]
    assert len(table) == len(jax.tree.leaves(states[10]["optimizer"]))


@pytest.mark.parametrize("name", ["run[lr=1e-3]", "back\\slash", "star*", "a b", "实验", "q?[!x]"])
def test_any_name_of_a_directory_will_do(tmp_path, name):
    """Orbax takes its path for a pattern, and finds nothing below `[`."""
    store = CheckpointStore(tmp_path / name / "checkpoints", keep=1)
    store.try_out()
    assert list(tmp_path.rglob("*")) == [tmp_path / name]
    tree = {"w": jnp.arange(6.0), "of NumPy": np.arange(3.0, dtype=np.float32)}
    store.save(3, {"params": tree}, {})
    store.wait()
    found = store.restore({"params": jax.eval_shape(lambda: tree)})
    assert found.step == 3
    assert all(np.array_equal(found.items["params"][name], tree[name]) for name in tree)


def test_what_cannot_be_read_back_is_known_before_the_first_step(tmp_path, monkeypatch):
    def forgets(folder, items):
        raise ValueError("NOT_FOUND: Metadata does not exist")

    monkeypatch.setattr("bertjax.checkpoint.arrays.read", forgets)
    with pytest.raises(UserError, match="cannot be read back"):
        CheckpointStore(tmp_path / "x", keep=1).try_out()
    assert not (tmp_path / "x").exists()
