"""Weights and runs that are damaged or not there: one line, the right exit code, nothing lost."""

from __future__ import annotations

import json
import pickle
import shutil
import struct
from pathlib import Path

import pytest
import tiny_run
from tiny_run import pretrain_argv, snapshot

from bertjax.errors import EXIT_DAMAGED


def no_weights(directory: Path) -> None:
    (directory / "model.safetensors").unlink()


def truncated(directory: Path) -> None:
    path = directory / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def huge_header(directory: Path) -> None:
    (directory / "model.safetensors").write_bytes(struct.pack("<Q", 2**62) + b"{}")


def overlapping(directory: Path) -> None:
    tensor = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    header = json.dumps({"a": tensor, "b": tensor}).encode()
    data = struct.pack("<Q", len(header)) + header + bytes(8)
    (directory / "model.safetensors").write_bytes(data)


def pickled(directory: Path) -> None:
    (directory / "model.safetensors").unlink()
    (directory / "pytorch_model.bin").write_bytes(pickle.dumps({"a": 1}))


def broken_config(directory: Path) -> None:
    (directory / "config.json").write_text("{")


def huge_config(directory: Path) -> None:
    content = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps(content | {"hidden_size": 2**40}))


@pytest.mark.parametrize(
    "spoil",
    [no_weights, truncated, huge_header, overlapping, pickled, broken_config, huge_config],
)
def test_weights_that_cannot_be_read(tmp_path, recipe, corpus, exported, refuse, spoil):
    directory = shutil.copytree(exported, tmp_path / "hf")
    spoil(directory)
    said = refuse("import", directory, "--out", tmp_path / "run")
    assert str(directory) in said
    refuse("fill-mask", directory, "a [MASK]")
    refuse(*pretrain_argv(tmp_path / "run", recipe, corpus), "--init", directory)
    if spoil is pickled:
        assert "safetensors" in said


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (("fill-mask", "{run}", "no gap here"), "write [MASK] where a word is to be guessed"),
        (("fill-mask", "{run}", "[MASK] " * 40), "the model 32 positions"),
        (("fill-mask", "{run}", "[MASK]", "--top", "0"), "--top 0: use 1 to"),
        (
            ("fill-mask", "{tmp}", "[MASK]"),
            "is an empty directory: give a run",
        ),
        (("fill-mask", "{tmp}/x", "[MASK]"), "is not there: give a run"),
        (("fill-mask", "a/b", "[MASK]"), "`hf download a/b --local-dir hf/b` does, then give hf/b"),
        (
            ("export", "{tmp}", "--out", "{tmp}/hf"),
            "is an empty directory: give a run",
        ),
        (("export", "{run}", "--out", "{run}"), "exists"),
        (("export", "{run}", "--out", "/proc/hf"), "/proc/hf"),
        (("import", "{tmp}", "--out", "{tmp}/run"), "config.json"),
        (("import", "{run}", "--out", "{run}"), "exists already"),
        (("info", "{tmp}"), "is an empty directory: give a corpus"),
        (("info", "{tmp}/x"), "is not there: give a corpus"),
    ],
)
def test_a_model_that_is_not_there(tmp_path, trained, refuse, argv, says):
    before = snapshot(trained)
    assert says in refuse(*(a.format(run=trained, tmp=tmp_path) for a in argv))
    assert snapshot(trained) == before


def test_a_damaged_run(trained_copy, tmp_path, refuse):
    """The best checkpoint is what these verbs are for; they do not take another in silence."""
    (best,) = (trained_copy / "best").iterdir()
    damaged = tiny_run.largest_file(best)
    tiny_run.flip_bit(damaged)
    for argv in (
        ("fill-mask", trained_copy, "[MASK]"),
        ("export", trained_copy, "--out", tmp_path / "hf"),
    ):
        assert damaged.name in refuse(*argv, code=EXIT_DAMAGED)
    shutil.rmtree(best)
    shutil.rmtree(trained_copy / "checkpoints")
    assert "no checkpoint in" in refuse("fill-mask", trained_copy, "[MASK]")
