"""Whatever files are called, what is written there is there; pipes and devices are written to."""

from __future__ import annotations

import os
import tempfile
import threading
from pathlib import Path

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bertjax.checkpoint import CheckpointStore
from bertjax.cli.main import main
from bertjax.cli.outputs import check_output
from bertjax.config import PretrainConfig
from bertjax.data.corpus import open_corpus
from bertjax.durable import replace_file, staged
from bertjax.errors import UserError
from bertjax.overrides import from_json, to_json
from bertjax.runs.directory import open_run
from bertjax.runs.kinds import Kind

# What hydra, people and other scripts put into names; the system takes all but / and 0.
names = (
    st.lists(
        st.one_of(
            st.sampled_from([*"[]{}*?!\\~%$&;|<>()'\"`#=,@:^ -.", "\n", "\t", "lr=1e-3", "实验"]),
            st.characters(codec="utf-8", exclude_characters="/\0"),
        ),
        min_size=1, max_size=12,
    )
    .map("".join)
    .filter(lambda name: name not in (".", "..") and len(name.encode()) < 200)
)  # fmt: skip


@settings(max_examples=15)
@given(names, st.integers(0, 9999))
def test_checkpoints_runs_and_files(name, seed):
    tree = {"w": np.random.default_rng(seed).standard_normal(5).astype(np.float32)}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / name
        with open_run(folder, Kind.PRETRAINING) as run:
            run.describe(to_json(PretrainConfig(seed=seed)), ["bertjax", name])
            store = CheckpointStore(run.checkpoints, keep=1)
            store.try_out()
            store.save(1, {"params": tree}, {"name": name})
            store.wait()
        assert os.listdir(scratch) == [name]
        assert from_json(PretrainConfig, run.config.read_text()) == PretrainConfig(seed=seed)
        found = CheckpointStore(run.checkpoints, keep=1).restore_all()
        assert found.meta == {"name": name}
        assert jax.tree.map(np.asarray, found.items)["params"]["w"].tobytes() == tree["w"].tobytes()
        with staged(Path(scratch) / "out" / name) as stage:
            replace_file(stage / name, b"bytes")
        assert os.listdir(Path(scratch) / "out") == [name]
        assert (Path(scratch) / "out" / name / name).read_bytes() == b"bytes"


@settings(max_examples=5)
@given(names)
def test_a_corpus_is_built_and_opened(name):
    documents = [f"the old river number {i} was here. a good film." for i in range(12)]
    with tempfile.TemporaryDirectory() as scratch:
        file, out = Path(scratch) / f"{name}.txt", Path(scratch) / "out" / name
        file.write_text("\n\n".join(documents))
        words = ["prepare", f"{scratch}/{name}.txt", f"--out={out}", "--vocab-size=80"]
        assert main([*words, "--workers=1", "--held-out=0"]) == 0
        assert len(open_corpus(str(out), "train").document_starts) == len(documents) + 1


def test_a_link_stays_one_and_a_pipe_is_written_to(tmp_path):
    (tmp_path / "target").mkdir()
    link, pipe = tmp_path / "link", tmp_path / "pipe"
    link.symlink_to(tmp_path / "target" / "file")
    for content in (b"one", b"two"):
        replace_file(link, content)
        assert link.is_symlink() and (tmp_path / "target" / "file").read_bytes() == content
    assert os.listdir(tmp_path / "target") == ["file"]
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    check_output("--out", pipe)
    replace_file(pipe, b"three")
    reader.join()
    assert read == [b"three"] and pipe.is_fifo()
    replace_file(Path(os.devnull), b"four")
    assert Path(os.devnull).is_char_device()


def test_names_that_no_file_can_have_are_refused_before_the_work(tmp_path, capfd):
    with pytest.raises(UserError, match="File name too long: give another name"):
        check_output("--out", tmp_path / ("x" * 300))
    longest = tmp_path / ("x" * 255)
    check_output("--out", longest)
    replace_file(longest, b"all")
    assert longest.read_bytes() == b"all"
    name = os.fsdecode(b"caf\xe9")
    assert main(["prepare", "a.txt", "--out", str(tmp_path / name)]) == 2
    said = capfd.readouterr().err
    assert "\\udce9' is not UTF-8: rename the file" in said and said.count("\n") == 1
