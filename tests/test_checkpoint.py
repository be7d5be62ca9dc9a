"""Checkpoints under faults: what is restored is what was saved, or it is refused by file name."""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from bertjax.checkpoint import CheckpointStore, arrays, disk, manifest
from bertjax.errors import EXIT_DAMAGED, UserError

ROOT = Path(__file__).resolve().parents[1]


def make_state(seed: int) -> dict:
    """A small training state of every kind of array there is, different for each seed."""
    keys = jax.random.split(jax.random.key(seed), 4)
    params = {
        "encoder": {
            "kernel": jax.random.normal(keys[0], (16, 8)),
            "bias": jax.random.normal(keys[1], (8,), jnp.bfloat16),
        },
        "embedding": jax.random.normal(keys[2], (24, 8)),
    }
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(1e-3))
    state = optimizer.init(params)
    _, state = optimizer.update(params, state, params)  # moments other than zero
    counters = {"step": jnp.int32(seed), "bad": jnp.uint32(3), "mask": jnp.arange(5) > 2}
    return {"params": params, "optimizer": state, "counters": counters}


def abstract(items: dict) -> dict:
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), items
    )


def assert_same_bits(actual, expected) -> None:
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    for a, e in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        a, e = np.asarray(a), np.asarray(e)
        assert (a.shape, a.dtype) == (e.shape, e.dtype)
        assert a.tobytes() == e.tobytes()


@pytest.fixture(scope="module")
def states() -> dict[int, dict]:
    return {step: make_state(step) for step in (10, 20, 30)}


@pytest.fixture(scope="module")
def saved(states, tmp_path_factory) -> Path:
    """Steps 10, 20 and 30; copied by the tests that damage it."""
    directory = tmp_path_factory.mktemp("saved") / "checkpoints"
    store = CheckpointStore(directory, keep=3)
    for step, items in states.items():
        store.save(step, items, {"step": step, "note": "é"})
    store.wait()
    return directory


@pytest.fixture
def copied(saved, tmp_path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "checkpoints"))


def files_of(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file())


def flip_bit(path: Path, bit: int) -> None:
    data = bytearray(path.read_bytes())
    bit %= len(data) * 8
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


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


# Damage. The fall-back is to step 20, and the reason names the file.


def test_one_flipped_bit_in_any_file_is_refused_by_name(copied):
    store = CheckpointStore(copied, keep=3)
    rng = random.Random(0)
    files = files_of(copied / "30")
    assert len(files) > 20 and copied / "30" / "manifest.json" in files
    for path in files:
        original = path.read_bytes()
        for bit in (0, rng.randrange(len(original) * 8), -1):
            flip_bit(path, bit)
            found = store.restore({})
            assert found.step == 20, path
            assert path.relative_to(copied / "30").as_posix() in found.rejected[0]
            assert found.rejected[0].startswith("30: ")
            path.write_bytes(original)
    assert store.latest_verified_step() == 30


def test_every_byte_of_a_manifest_counts(tmp_path):
    (tmp_path / "data").write_bytes(b"x")
    manifest.write(tmp_path, 1, {"seed": 0}, {"params": {"w": [[2], "float32"]}})
    path = tmp_path / "manifest.json"
    original = path.read_bytes()
    for byte in range(len(original)):
        flip_bit(path, byte * 8 + byte % 8)
        with pytest.raises(manifest.DamagedError):
            manifest.read(tmp_path)
        path.write_bytes(original)
    assert manifest.verify(tmp_path).meta == {"seed": 0}


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [truncate, empty, Path.unlink])
def test_short_and_missing_files_are_refused_by_name(copied, states, damage):
    for path in files_of(copied / "30"):
        original = path.read_bytes()
        damage(path)
        found = CheckpointStore(copied, keep=3).restore({})
        assert found.step == 20, path
        assert path.relative_to(copied / "30").as_posix() in found.rejected[0]
        path.write_bytes(original)


def size_of(path):
    return path.stat().st_size


def test_extra_and_swapped_files_are_refused_by_name(copied, states):
    (copied / "30" / "params" / "extra").write_text("")
    for name in ("20", "10"):  # the same kind of file, of another step
        (copied / name / "params" / "_METADATA").touch()
    # Of several files the one with the arrays: the others may be equal in both steps.
    data, other = (
        max((copied / step / "params" / "ocdbt.process_0" / "d").iterdir(), key=size_of)
        for step in ("20", "10")
    )
    data.write_bytes(other.read_bytes())
    restored = CheckpointStore(copied, keep=3).restore(abstract(states[10]))
    assert restored.step == 10
    assert "params/extra" in restored.rejected[0]
    assert data.relative_to(copied / "20").as_posix() in restored.rejected[1]
    assert_same_bits(restored.items, states[10])


def test_swapped_folders_and_swapped_manifests_are_refused(copied):
    (copied / "20" / "manifest.json").write_bytes((copied / "10" / "manifest.json").read_bytes())
    (copied / "30").rename(copied / "x")
    (copied / "10").rename(copied / "30")
    (copied / "x").rename(copied / "10")
    with pytest.raises(UserError) as caught:
        CheckpointStore(copied, keep=3).latest_verified_step()
    assert "30: manifest.json is that of step 10" in str(caught.value)
    assert "10: manifest.json is that of step 30" in str(caught.value)


def test_folders_that_are_no_checkpoints_are_passed_over_and_named(copied, states):
    (copied / "999").mkdir()
    (copied / "998").mkdir()
    (copied / "998" / "meta.json").write_text("{}")
    (copied / "997").write_text("a file")
    (copied / "tmp.40.orbax-checkpoint-tmp").mkdir()
    (copied / "notes.txt").write_text("mine")
    (copied / "007").mkdir()
    restored = CheckpointStore(copied, keep=3).restore(abstract(states[30]))
    assert restored.step == 30
    assert [r.partition(":")[0] for r in restored.rejected] == [
        "999", "998", "997", "tmp.40.orbax-checkpoint-tmp",
    ]  # fmt: skip


def test_damage_is_moved_aside_by_the_next_save_and_never_removed(copied, states):
    flip_bit(files_of(copied / "30")[3], 5)
    (copied / "999").mkdir()
    (copied / "tmp.40").mkdir()
    (copied / "notes.txt").write_text("mine")
    store = CheckpointStore(copied, keep=2)
    before = sorted(p.name for p in copied.iterdir())
    assert store.restore(abstract(states[20])).step == 20
    assert sorted(p.name for p in copied.iterdir()) == before  # reading changes nothing
    store.save(30, states[30], {})
    store.wait()
    assert sorted(p.name for p in copied.iterdir()) == [
        "20", "30", "30.rejected", "999.rejected", "notes.txt",
    ]  # fmt: skip
    assert CheckpointStore(copied, keep=2).restore(abstract(states[30])).step == 30


def test_rotation_removes_only_what_was_saved_here(copied, states):
    (copied / "5").mkdir()
    (copied / "999").mkdir()
    (copied / "40").mkdir()
    (copied / "40" / "thesis.tex").write_text("mine")
    store = CheckpointStore(copied, keep=1)
    store.save(40, states[30], {})
    store.wait()
    assert store.steps() == [5, 40, 999]
    assert (copied / "40.rejected" / "thesis.tex").read_text() == "mine"
    assert store.latest_verified_step() == 40


def test_all_damaged_ends_with_its_own_exit_code(copied, states):
    for step in ("10", "20", "30"):
        flip_bit(copied / step / "params" / "_METADATA", 9)
    with pytest.raises(UserError, match=r"30: params/_METADATA .*10: params/_METADATA") as caught:
        CheckpointStore(copied, keep=3).restore(abstract(states[30]))
    assert caught.value.exit_code == EXIT_DAMAGED
    assert "\n" not in str(caught.value)


def test_a_newer_format_is_refused_by_name(copied, monkeypatch):
    monkeypatch.setattr(manifest, "FORMAT", 2)
    body = manifest._unseal((copied / "30" / "manifest.json").read_bytes())
    (copied / "30" / "manifest.json").write_bytes(manifest._seal({**body, "format": 2}))
    monkeypatch.undo()
    found = CheckpointStore(copied, keep=3).restore({})
    assert found.step == 20
    assert "format 2, this bertjax reads 1" in found.rejected[0]


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"null", b"{", b'{"digest":NaN}', b"[" * 100_000, b"\xff", b"9" * 5000]
)
def test_hostile_manifests_are_damage_and_not_crashes(tmp_path, text):
    (tmp_path / "manifest.json").write_bytes(text)
    with pytest.raises(manifest.DamagedError):
        manifest.verify(tmp_path)


def test_a_sealed_manifest_of_wrong_types_is_damage(tmp_path):
    body = {"format": 1, "step": 1, "meta": {}, "arrays": {}, "files": ["../../etc/passwd"]}
    (tmp_path / "manifest.json").write_bytes(manifest._seal(body))
    with pytest.raises(manifest.DamagedError):
        manifest.verify(tmp_path)


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


# The disk and the process fail.


def test_too_little_room_is_refused_before_anything_is_written(copied, states, monkeypatch):
    usage = shutil.disk_usage(copied)
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: usage._replace(free=1000))
    store = CheckpointStore(copied, keep=3)
    with pytest.raises(UserError, match=r"step 40 was not saved in .*1,000 are free.*free some"):
        store.save(40, states[30], {})
    assert sorted(p.name for p in copied.iterdir()) == ["10", "20", "30"]


def test_a_disk_that_fills_up_loses_one_step_and_says_so(copied, states):
    """A file-size limit stands for a full disk: the writes themselves fail."""
    store = CheckpointStore(copied, keep=3)
    big = {"params": {"w": jax.random.normal(jax.random.key(0), (512, 512))}}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        store.save(40, big, {})
        deadline = time.monotonic() + 30
        with pytest.raises(UserError, match="checkpoint of step 40 was not saved") as caught:
            while time.monotonic() < deadline:
                store.check()
                time.sleep(0.01)
        assert "File too large" in str(caught.value) and "\n" not in str(caught.value)
        store.check()  # told once
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert sorted(p.name for p in copied.iterdir()) == ["10", "20", "30"]
    store.save(50, states[30], {})  # and goes on when there is room again
    store.wait()
    assert store.restore(abstract(states[30])).step == 50


def test_a_directory_that_cannot_be_made_is_a_user_error(tmp_path, states):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="Not a directory"):
        CheckpointStore(tmp_path / "file" / "checkpoints", keep=1).save(1, states[10], {})


def test_a_directory_that_vanishes_is_an_error_naming_the_step(copied, states, monkeypatch):
    def write(*args) -> None:
        copied.rename(copied.with_name("elsewhere"))
        seal(*args)

    seal = manifest.write
    monkeypatch.setattr(manifest, "write", write)
    store = CheckpointStore(copied, keep=3)
    store.save(40, states[30], {})
    with pytest.raises(UserError, match=r"step 40 was not saved .* the directory is gone"):
        store.wait()
    assert CheckpointStore(copied.with_name("elsewhere"), keep=3).latest_verified_step() == 30


def test_a_slow_disk_holds_up_the_next_save_instead_of_piling_up(tmp_path, states, monkeypatch):
    slow = manifest.write
    running = []

    def write(*args) -> None:
        running.append(args[1])
        time.sleep(0.3)
        slow(*args)
        running.remove(args[1])

    monkeypatch.setattr(manifest, "write", write)
    store = CheckpointStore(tmp_path, keep=5)
    started = time.monotonic()
    for step in range(3):
        store.save(step, {"params": states[10]["params"]}, {})
        assert len(running) <= 1
    assert time.monotonic() - started > 0.6
    store.wait()
    assert store.steps() == [0, 1, 2]


def test_our_own_bugs_in_the_background_keep_their_type(tmp_path, states, monkeypatch):
    def write(*_) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr(manifest, "write", write)
    store = CheckpointStore(tmp_path, keep=1)
    store.save(1, states[10], {})
    with pytest.raises(KeyError, match="a bug"):
        store.save(2, states[10], {})  # a failure not asked for comes out here at the latest
    assert list(tmp_path.iterdir()) == []


def test_meta_is_taken_when_save_is_called(tmp_path, states):
    store = CheckpointStore(tmp_path, keep=1)
    meta = {"history": [1.5]}
    store.save(1, {"params": states[10]["params"]}, meta)
    meta["history"].append(2.5)
    store.wait()
    assert store.read_meta() == {"history": [1.5]}
    with pytest.raises(ValueError):
        store.save(2, states[10], {"loss": float("nan")})


SAVE_FOR_EVER = """
import sys, jax, jax.numpy as jnp
from bertjax.checkpoint import CheckpointStore
from pathlib import Path
store = CheckpointStore(Path(sys.argv[1]), keep=1)
step = max(store.steps(), default=0)
base = jax.random.normal(jax.random.key(0), (64, 1024))
print("ready", flush=True)
while True:
    step += 1
    store.save(step, {"params": {"w": base + step, "v": base * step}}, {"step": step})
"""


def test_sigkill_at_any_instant_leaves_a_step_that_restores_exactly(tmp_path):
    rng = random.Random(7)
    base = jax.random.normal(jax.random.key(0), (64, 1024))
    target = abstract({"params": {"w": base, "v": base}})
    last = 0
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT), "XLA_FLAGS": ""}
    for attempt in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", SAVE_FOR_EVER, str(tmp_path)],
            stdout=subprocess.PIPE,
            env=environment,
        )
        process.stdout.readline()
        while attempt == 0 and not CheckpointStore(tmp_path, keep=1).steps():
            time.sleep(0.01)  # on a busy machine the first save alone may take longer than below
        time.sleep(rng.uniform(0.0, 0.6))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        restored = CheckpointStore(tmp_path, keep=1).restore(target)
        if restored is None:
            assert last == 0
            continue
        assert restored.step >= last
        last = restored.step
        assert restored.meta == {"step": last}
        assert all(name.startswith("tmp.") for name in restored.rejected)
        assert_same_bits(restored.items, {"params": {"w": base + last, "v": base * last}})
    assert last > 0


class Killed(BaseException):
    """Stands for the process ending at this instant."""


@pytest.mark.parametrize("replaced", [False, True])
def test_a_kill_before_any_single_file_operation_leaves_a_good_step(
    tmp_path, saved, monkeypatch, replaced
):
    """Publishing and pruning, with one step kept, cut off at each rename and removal in turn."""
    newer = 20 if replaced else 30
    operations = 0
    for fatal in range(1000):
        directory = tmp_path / str(fatal)
        shutil.copytree(saved / "20", directory / "20")
        shutil.copytree(saved / str(newer), directory / f"tmp.{newer}")
        store = CheckpointStore(directory, keep=1)
        countdown = iter(range(fatal, -1, -1))
        with monkeypatch.context() as patch:
            for name in ("rename", "unlink", "rmdir"):
                real = getattr(os, name)

                def operate(*args, real=real, countdown=countdown, **kwargs):
                    if next(countdown) == 0:
                        raise Killed
                    return real(*args, **kwargs)

                patch.setattr(os, name, operate)
            try:
                store._publish(newer)
                store._prune(newer)
                break
            except Killed:
                operations += 1
        step = CheckpointStore(directory, keep=1).latest_verified_step()
        assert step in (20, newer), f"after {fatal} operations"
        for folder in directory.glob("[0-9]*"):  # nor is any step there by halves
            manifest.verify(folder)
    assert operations > 10
    assert [p.name for p in directory.iterdir()] == [str(newer)]


TWO_PROCESSES = """
import sys, time, jax
from pathlib import Path
index, port, directory = int(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
jax.config.update("jax_cpu_collectives_implementation", "gloo")
jax.distributed.initialize(f"localhost:{port}", 2, index)
import jax.numpy as jnp, numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
from bertjax.checkpoint import CheckpointStore
mesh = Mesh(np.array(jax.devices()).reshape(4), "fsdp")
value = np.arange(64, dtype=np.float32).reshape(8, 8)
def put(array, spec):
    return jax.make_array_from_callback(array.shape, NamedSharding(mesh, spec), array.__getitem__)
def tree(step):
    return {"params": {"rows": put(value + step, P("fsdp")), "whole": put(value * step, P())}}
store = CheckpointStore(directory, keep=2)
for step in (1, 2, 3):
    store.save(step, tree(step), {"step": step})
    store.check()
store.wait()
assert store.steps() == [2, 3], store.steps()
if index == 0:  # damage the newest: both must fall back to the same one
    (directory / "3" / "params" / "_METADATA").write_text("")
jax.experimental.multihost_utils.sync_global_devices("damaged")
turned = jax.ShapeDtypeStruct((8, 8), jnp.float32, sharding=NamedSharding(mesh, P(None, "fsdp")))
restored = store.restore({"params": {"rows": turned, "whole": turned}})
assert restored.step == 2
for name, array in restored.items["params"].items():
    expected = value + 2 if name == "rows" else value * 2
    for shard in array.addressable_shards:
        np.testing.assert_array_equal(shard.data, expected[shard.index])
# A second store saves while the first is still sealing, which takes longer in one process.
finish = store._finish
def dawdle(*args):
    time.sleep(index)
    finish(*args)
store._finish = dawdle
best = CheckpointStore(directory.with_name("best"), keep=1)
store.save(3, tree(3), {"step": 3})
best.save(3, tree(3), {"step": 3})
store.wait()
best.wait()
"""


def test_two_processes_save_and_restore_together(tmp_path):
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": str(ROOT),
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
    }
    started = [
        subprocess.Popen(
            [sys.executable, "-c", TWO_PROCESSES, str(i), str(port), str(tmp_path / "run")],
            stderr=subprocess.PIPE,
            env=environment,
            text=True,
        )
        for i in range(2)
    ]
    errors = [process.communicate(timeout=120)[1] for process in started]
    assert [process.returncode for process in started] == [0, 0], errors
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == ["2", "3", "3.rejected"]
    assert [p.name for p in (tmp_path / "best").iterdir()] == ["3"]
    # One process reads what two wrote.
    value = np.arange(64, dtype=np.float32).reshape(8, 8)
    leaf = jax.ShapeDtypeStruct((8, 8), jnp.float32)
    store = CheckpointStore(tmp_path / "run", keep=2)
    restored = store.restore({"params": {"rows": leaf, "whole": leaf}})
    assert_same_bits(restored.items, {"params": {"rows": value + 3, "whole": value * 3}})


def test_array_tables_name_every_leaf(states):
    table = arrays.describe(states[10]["optimizer"])
    assert table["1/0/mu/encoder/kernel"] == [[16, 8], "float32"]
    assert len(table) == len(jax.tree.leaves(states[10]["optimizer"]))
