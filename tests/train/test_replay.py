"""`bertjax replay`: a bit that was flipped is named, and so is a machine that is another one."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import numpy as np
import pytest
import tiny_run
from tiny_run import finish, pretrain_argv, snapshot, start

from bertjax.cli.main import main
from bertjax.errors import EXIT_BAD_INPUT, EXIT_DIFFERS
from bertjax.pretrained import run_config
from bertjax.runs.record import read_record
from bertjax.train import phase
from bertjax.train.replay import Replay, replay
from bertjax.tree import flatten


@pytest.fixture(scope="module")
def trained(once, corpus) -> Path:
    """A run of 24 steps of this process, all its states hashed."""

    def make(workdir: Path) -> None:
        (recipe := workdir.parent / "recipe.py").write_text(tiny_run.RECIPE)
        assert main(pretrain_argv(workdir, recipe, corpus, "train.hash_every=1")) == 0

    return once("replayed", make)


@pytest.fixture
def run(trained, tmp_path) -> Path:
    """A copy, to be changed."""
    return shutil.copytree(trained, tmp_path / "run")


def again(workdir: Path, first: int, last: int) -> Replay:
    return replay(workdir, range(first, last), run_config(workdir))


def flip(state, draw: random.Random):
    """One bit of one of a state's arrays, all bits of all of them as likely."""
    arrays = {name: leaf for name, leaf in flatten(state).items() if leaf.size > 1}
    name = draw.choices([*arrays], [leaf.size for leaf in arrays.values()])[0]
    changed = np.array(arrays[name])
    changed.reshape(-1).view(np.uint32)[draw.randrange(changed.size)] ^= 1 << draw.randrange(32)

    def place(path, leaf):
        same = jax.tree_util.keystr(path, simple=True, separator="/") != name
        return leaf if same else jax.device_put(changed, leaf.sharding)

    return jax.tree_util.tree_map_with_path(place, state)


@contextlib.contextmanager
def corrupted(at: int, draw: random.Random) -> Iterator[None]:
    """Have a bit of the state flip once `at` steps are done."""
    make = phase.make_train_step

    def corrupting(*args):
        step = make(*args)

        def then_flip(state, *rest):
            state, metrics = step(state, *rest)
            return (flip(state, draw) if int(state.step) == at else state), metrics

        return then_flip

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(phase, "make_train_step", corrupting)
        yield


def with_log(run: Path, change: Callable[[dict], dict | None]) -> Path:
    """The run with changed lines in its log; None leaves one out."""
    rows = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    kept = [row for row in map(change, rows) if row is not None]
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in kept))
    return run


def test_a_run_logs_its_states_and_what_computed_them(trained):
    record = read_record(trained / "metrics.jsonl")
    assert list(record.hashes) == list(range(25))
    assert len(set(record.hashes.values())) == 25
    environment = record.environment_of(24)
    assert environment["jax"] == jax.__version__ and environment["devices"] == "1 × cpu"
    assert environment["train.mesh"] == "1 data × 1 fsdp × 1 tensor"
    assert list(record.environments) == [0]


def test_the_same_states_come_again_from_the_start_and_from_a_checkpoint(trained):
    before = snapshot(trained)
    for first, last in ((0, 3), (13, 24)):
        found = again(trained, first, last)
        assert [one.step for one in found.compared] == list(range(first, last + 1))
        assert found.first_difference is None and found.changed == ()
    assert snapshot(trained) == before


@pytest.mark.parametrize("seed", range(20))
def test_a_flipped_bit_is_named_at_its_step(seed, trained):
    draw = random.Random(seed)
    at = draw.randrange(1, 25)
    with corrupted(at, draw):
        found = again(trained, max(0, at - 2), min(24, at + 1))
    assert found.first_difference.step == at and found.changed == ()


@pytest.mark.slow
def test_a_run_that_was_corrupted_is_told(run, capfd):
    """The state flips in the run itself, and all that comes after is computed from it."""
    config = shutil.copy(run / "config.json", run.with_name("config.json"))
    shutil.rmtree(run)
    with corrupted(12, random.Random(1)):
        assert main(["pretrain", "--config", str(config), "--workdir", str(run)]) == 0
    assert main(["replay", str(run), "8:20"]) == EXIT_DIFFERS
    said = capfd.readouterr()
    assert "other  nothing" in said.err
    assert "the state of step 12 is the first that differs" in said.out
    assert "nothing else computes here" in said.out
    # What came after was computed rightly from what was wrong, and can only be told from before.
    assert main(["replay", str(run), "15:20"]) == 0


def test_another_library_is_told_from_corruption(run, capfd):
    with_log(run, lambda row: row | {"jax": "0.4.1"} if row["kind"] == "environment" else row)
    assert main(["replay", str(run), "10:12"]) == 0
    assert f"other  jax: 0.4.1 in the run, {jax.__version__} here" in capfd.readouterr().err
    with corrupted(11, random.Random(2)):
        assert main(["replay", str(run), "10:12"]) == EXIT_DIFFERS
    said = capfd.readouterr().out
    assert "state of step 11" in said and "perhaps what computes here otherwise (jax: 0.4.1" in said


@pytest.mark.slow
def test_another_number_of_devices_is_told_from_corruption(trained):
    said = finish(start(["replay", str(trained), "0:6"], devices=2), EXIT_DIFFERS)
    assert "other  devices: 1 × cpu in the run, 2 × cpu here" in said
    assert "other  train.mesh: 1 data × 1 fsdp × 1 tensor in the run, 2 data" in said


def test_a_state_that_is_restored_otherwise_than_it_was_logged_is_said(run, capfd):
    again = ["pretrain", "--config", str(run / "config.json"), "--workdir", str(run)]
    before = (run / "metrics.jsonl").read_text()
    assert main(again) == 0
    assert "was restored as" not in capfd.readouterr().err
    assert (run / "metrics.jsonl").read_text() == before
    with_log(run, lambda row: row | {"hash": "0"} if row["step"] == 24 and "hash" in row else row)
    assert main(again) == 0
    assert "note   state 24 was restored as" in capfd.readouterr().err


def test_the_environment_that_counts_is_that_of_the_state(run):
    """A run that went on elsewhere: what computes the first of its states otherwise is named."""
    moved = {"kind": "environment", "step": 10, "jax": "0.4.1"}
    with (run / "metrics.jsonl").open("a") as log:
        log.write(json.dumps(moved) + "\n")
    with corrupted(9, random.Random(3)):
        assert again(run, 8, 12).changed == ()
    with corrupted(12, random.Random(3)):
        assert "jax: 0.4.1 in the run" in "; ".join(again(run, 10, 12).changed)


def test_a_state_that_is_read_was_not_computed_here(run):
    """A run that went on elsewhere from the very checkpoint that the replay begins from."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    first = next(row for row in rows if row["kind"] == "environment")
    moved = [first | {"jax": "0.4.1"}, first | {"step": 10}]
    kept = [row for row in rows if row["kind"] != "environment"]
    lines = "".join(json.dumps(row) + "\n" for row in [*moved, *kept])
    (run / "metrics.jsonl").write_text(lines)
    for begin, changed in ((9, True), (10, False), (11, False)):
        with corrupted(12, random.Random(3)):
            found = again(run, begin, 12)
        assert found.first_difference.step == 12 and bool(found.changed) == changed, begin


def test_it_begins_from_the_newest_checkpoint_that_is_sound(run, capfd):
    tiny_run.flip_bit(tiny_run.largest_file(run / "checkpoints" / "15" / "params"))
    before = snapshot(run)
    assert main(["replay", str(run), "16:17"]) == 0
    said = capfd.readouterr().err
    assert "note   passed over checkpoint 15: params/" in said
    assert "from the checkpoint of step 10" in said
    for step in ("5", "10"):
        tiny_run.flip_bit(tiny_run.largest_file(run / "checkpoints" / step / "params"))
        before |= snapshot(run)
    assert main(["replay", str(run), "16:17"]) == 0
    said = capfd.readouterr().err
    assert "note   every checkpoint up to step 16 is damaged" in said
    assert "from the initial state of step 0" in said
    assert snapshot(run) == before


def test_where_no_step_would_be_repeated_there_is_nothing_to_say(run, capfd):
    assert main(["replay", str(run), "24:30"]) == 2
    said = capfd.readouterr().err
    assert "logged no state after step 24, where its checkpoint is, up to step 30" in said


@pytest.mark.slow
def test_a_run_by_the_clock_is_repeated_without_one(run, corpus):
    shutil.rmtree(run)
    (recipe := run.with_name("recipe.py")).write_text(tiny_run.RECIPE)
    timed = ("train.minutes=0.02", "train.hash_every=1")
    assert main(pretrain_argv(run, recipe, corpus, *timed)) == 0
    last = tiny_run.newest_step(run / "checkpoints")
    found = again(run, 0, last)
    assert found.first_difference is None and found.compared[-1].step == last


def refused(argv: list[str], capfd, *fragments: str) -> None:
    assert main(argv) == EXIT_BAD_INPUT
    (line,) = capfd.readouterr().err.splitlines()
    for fragment in fragments:
        assert fragment in line


def test_what_cannot_be_repeated_is_refused(run, capfd):
    words = ["replay", str(run)]
    refused([*words, "8"], capfd, "A:B 8: give START:STOP")
    refused([*words, "30:40"], capfd, "no hash of a state after 30 to 40", "25, of 0 to 24")
    refused([*words, "8:9", "seed=3"], capfd, "was started with another config (seed")
    refused(["replay", str(run / "best"), "8:9"], capfd, "give a run of `bertjax pretrain`")
    with_log(run, lambda row: None if row["kind"] == "state" else row)
    refused([*words, "8:9"], capfd, "logged no hashes of its states", "train.hash_every=10")


@pytest.mark.slow
def test_a_run_from_other_weights_needs_them_only_at_its_start(run, trained, capfd):
    shutil.rmtree(run)
    shutil.copy(trained / "config.json", config := run.with_name("config.json"))
    init = shutil.copytree(trained, run.with_name("init"))
    begun = ["pretrain", "--config", str(config), "--workdir", str(run), "--init", str(init)]
    assert main([*begun, "train.steps=24"]) == 0
    assert again(run, 0, 2).first_difference is None
    shutil.rmtree(init)
    assert again(run, 6, 7).first_difference is None
    capfd.readouterr()
    refused(["replay", str(run), "0:2"], capfd, "which is not there", "replay from step 5 on")
