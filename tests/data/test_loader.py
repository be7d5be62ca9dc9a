"""Batches ahead of their step: the same for any workers, and no process left behind."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from oracle_rows import numbered_corpus

from bertjax.config import DataConfig, Phase
from bertjax.data.batches import BatchSource
from bertjax.data.loader import load_batches
from bertjax.errors import UserError

CONFIG = DataConfig(max_packed=2, phases=(Phase(32, 8),))


@pytest.fixture(scope="module")
def source() -> BatchSource:
    corpus = numbered_corpus(np.random.default_rng(1).integers(1, 12, (60, 5)).tolist())
    return BatchSource(corpus, CONFIG, phase=0, seed=5)


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_batches_are_the_same_for_any_number_of_workers(source, workers):
    share = slice(2, 6)
    with load_batches(source, 7, 19, workers, prefetch=2, rows=share) as stream:
        loaded = list(stream)
    assert len(loaded) == 12
    for index, batch in zip(range(7, 19), loaded, strict=True):
        expected = source.batch(index, share)
        assert batch.keys() == expected.keys()
        for name in expected:
            assert type(batch[name]) is np.ndarray and batch[name].dtype == expected[name].dtype
            np.testing.assert_array_equal(batch[name], expected[name], err_msg=name)
    assert not multiprocessing.active_children()


class Large:
    """Batches of their index, of which a pipe holds not even one."""

    def batch(self, index: int, rows: slice) -> dict[str, np.ndarray]:
        return {"index": np.full(100_000, index)}


def test_a_dead_worker_is_reported_and_nothing_is_left():
    with load_batches(Large(), 0, 10_000, workers=2, prefetch=1) as stream:
        assert set(next(stream)["index"]) == {0}
        killed = multiprocessing.active_children()[0]
        os.kill(killed.pid, signal.SIGKILL)
        made = 1
        with pytest.raises(UserError, match=r"a data worker died \(exit code -9\) before batch"):
            for batch in stream:
                assert set(batch["index"]) == {made}
                made += 1
    assert made < 20
    assert not multiprocessing.active_children()


class Endless:
    """Batches that are their index, until one that cannot be made."""

    def batch(self, index: int, rows: slice) -> dict[str, np.ndarray]:
        if index == 5:
            raise UserError(f"batch {index} is not there", exit_code=4)
        return {"index": np.array(index)}


@pytest.mark.parametrize("workers", [0, 2])
def test_what_goes_wrong_in_a_worker_is_raised_in_its_turn(workers):
    stream = load_batches(Endless(), 2, 10_000, workers)
    assert [int(next(stream)["index"]) for _ in range(3)] == [2, 3, 4]
    with pytest.raises(UserError) as raised:
        next(stream)
    assert (str(raised.value), raised.value.exit_code) == ("batch 5 is not there", 4)
    if workers:
        assert "in batch" in "".join(raised.value.__notes__)  # where it was raised
    assert not multiprocessing.active_children()
    with pytest.raises(StopIteration):
        next(stream)


def test_a_stream_that_nobody_closes_does_not_keep_a_program(tmp_path):
    alive = PARENT.partition("        def signal_all")[0]
    run = run_script(tmp_path / "left.py", alive + "        next(stream)\n")
    assert (run.returncode, run.stderr) == (0, "")


PARENT = """
    import multiprocessing, os, signal, sys, time
    import numpy as np
    from oracle_rows import numbered_corpus
    from bertjax.config import DataConfig, Phase
    from bertjax.data.batches import BatchSource
    from bertjax.data.loader import load_batches

    if __name__ == "__main__":
        corpus = numbered_corpus([[5] * 20] * 20)
        source = BatchSource(corpus, DataConfig(phases=(Phase(32, 8),)), 0, 0)
        stream = load_batches(source, 0, 10_000, workers=2)
        workers = multiprocessing.active_children()

        def signal_all():  # what a scheduler sends to the whole group must not end them
            for worker in workers:
                os.kill(worker.pid, signal.SIGTERM)
                os.kill(worker.pid, signal.SIGINT)

        signal_all()  # while they start
        next(stream), next(stream)  # one from each
        signal_all()
        for _ in range(10):
            next(stream)
        print(*(worker.pid for worker in workers), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
"""


def run_script(path: Path, text: str) -> subprocess.CompletedProcess[str]:
    path.write_text(textwrap.dedent(text))
    here = Path(__file__).resolve()
    paths = [str(here.parent), str(here.parents[2]), *sys.path]
    return subprocess.run(
        [sys.executable, str(path)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.slow
def test_workers_outlive_signals_but_not_their_parent(tmp_path):
    run = run_script(tmp_path / "parent.py", PARENT)
    assert run.returncode == -signal.SIGKILL
    workers = [int(word) for word in run.stdout.split()]
    assert len(workers) == 2
    deadline = time.monotonic() + 10
    while any(map(running, workers)):
        assert time.monotonic() < deadline, "workers outlive their parent"
        time.sleep(0.1)


@pytest.mark.slow
def test_a_script_that_workers_import_must_say_what_is_theirs(tmp_path):
    """Each would begin the training anew, in the directory of the one that started it."""
    unguarded = PARENT.replace('if __name__ == "__main__":', "if True:")
    run = run_script(tmp_path / "train.py", unguarded)
    assert run.returncode == 1
    last = run.stderr.splitlines()[-1]
    assert "a data worker died (exit code 1) before batch 0 was ready: what it said" in last
    assert 'must do so below `if __name__ == "__main__":`, or set data.workers=0' in last


def running(pid: int) -> bool:
    """Whether a process lives; a zombie nobody has reaped yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_what_workers_import_is_light():
    code = "import sys, bertjax.data.loader as _; print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    heavy = {"jax", "flax", "orbax", "tensorflow", "torch", "transformers", "scipy", "pyarrow"}
    assert not heavy & set(run.stdout.split())


def test_a_mapped_corpus_is_pickled_by_name(source, tmp_path):
    corpus = source.corpus
    mapped = {}
    for name, array in vars(corpus).items():
        if isinstance(array, np.ndarray):
            np.save(tmp_path / name, array)
            mapped[name] = np.load(tmp_path / f"{name}.npy", mmap_mode="r")
    on_disk = BatchSource(replace(corpus, **mapped), CONFIG, phase=0, seed=5)
    pickled = pickle.dumps(on_disk)
    assert bytes(corpus.tokens[:100]) in pickle.dumps(source)
    assert bytes(corpus.tokens[:100]) not in pickled
    again = pickle.loads(pickled)
    assert isinstance(again.corpus.tokens, np.memmap)
    for name, array in source.batch(3).items():
        assert type(on_disk.batch(3)[name]) is np.ndarray
        np.testing.assert_array_equal(again.batch(3)[name], array)
    # A slice of a map starts elsewhere than its file: it travels as it is.
    part = BatchSource(
        replace(corpus, tokens=mapped["tokens"][:], boundaries=mapped["boundaries"]),
        CONFIG,
        phase=0,
        seed=5,
    )
    again = pickle.loads(pickle.dumps(part))
    np.testing.assert_array_equal(again.corpus.tokens, corpus.tokens)
