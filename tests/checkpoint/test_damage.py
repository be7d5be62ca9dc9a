"""Damaged checkpoints are refused by file name, and the step before them is restored."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from tiny_state import abstract, assert_same_bits

from bertjax.checkpoint import CheckpointStore, manifest
from bertjax.errors import EXIT_DAMAGED, UserError


def files_of(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file())


def flip_bit(path: Path, bit: int) -> None:
    data = bytearray(path.read_bytes())
    bit %= len(data) * 8
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


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
    (copied / "30" / "manifest.json").write_bytes(manifest._with_digest({**body, "format": 2}))
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
    (tmp_path / "manifest.json").write_bytes(manifest._with_digest(body))
    with pytest.raises(manifest.DamagedError):
        manifest.verify(tmp_path)
