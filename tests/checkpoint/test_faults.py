"""Disks that fill up, processes that are killed, and two that save together."""

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
import pytest
from tiny_state import abstract, assert_same_bits

from bertjax.checkpoint import CheckpointStore, disk, manifest
from bertjax.errors import UserError

ROOT = Path(__file__).resolve().parents[2]


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


@pytest.mark.slow
def test_sigkill_at_any_instant_leaves_a_step_that_restores_exactly(tmp_path):
    rng = random.Random(7)
    base = jax.random.normal(jax.random.key(0), (64, 1024))
    target = abstract({"params": {"w": base, "v": base}})
    last = 0
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
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


@pytest.mark.slow
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


@pytest.mark.slow
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
