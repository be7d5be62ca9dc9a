"""Steps of a run once more, and whether the states are those that the run logged.

Nothing is written into the run. A state that differs has one of two causes: something else computes
(a library, a device, a flag), which the log tells; or a bit was changed that nobody changed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import jax
from jax.sharding import Mesh

from bertjax.checkpoint import CheckpointStore
from bertjax.config import PretrainConfig
from bertjax.errors import EXIT_DAMAGED, UserError
from bertjax.pretrained import Pretrained, is_imported, open_imported, open_pretrained
from bertjax.runs.directory import RunDirectory
from bertjax.runs.kinds import Kind, kind_of, require_kind
from bertjax.runs.record import Record, read_record
from bertjax.runs.same_run import check_origin, fingerprint
from bertjax.terminal import SILENT, Terminal
from bertjax.train.data import Data, open_data
from bertjax.train.devices import make_mesh, memory_errors, what_computes
from bertjax.train.pace import Pace, pace_again
from bertjax.train.phase import make_phases
from bertjax.train.same_run import check_same_run
from bertjax.train.state import (
    TrainState,
    abstract_state,
    checkpoint_items,
    fresh_state,
    restored_state,
)
from bertjax.train.state_hash import begin_hash, end_hash


class Comparison(NamedTuple):
    """A state of the run, named by the steps behind it."""

    step: int
    logged: str
    here: str


@dataclasses.dataclass(frozen=True)
class Replay:
    """What repeating some steps has shown."""

    compared: tuple[Comparison, ...]  # in order; of these only the last can differ
    changed: tuple[str, ...]  # what computes here otherwise than it did up to the last of them

    @property
    def first_difference(self) -> Comparison | None:
        """The first state that is not the run's; None if all are."""
        last = self.compared[-1]
        return last if last.logged != last.here else None


def replay(
    workdir: str | Path, steps: range, cfg: PretrainConfig, terminal: Terminal = SILENT
) -> Replay:
    """Repeat `steps` of the run in `workdir`, counted from 0, and compare states.

    The states compared are those after `steps.start` to `steps.stop` steps of which the run logged
    a hash. `cfg` is the run's config, in which may differ what may differ when it is resumed.

    Raises:
        UserError: there is no such run, it logged no hash of these states, nothing is kept to
            begin from, or its corpus is another one.
    """
    require_kind("RUN", Path(workdir), Kind.PRETRAINING)
    run = RunDirectory(Path(workdir).absolute())
    record = read_record(run.metrics)
    wanted = _comparable(run, record, steps)
    cfg, data = open_data(cfg)
    mesh = make_mesh(cfg)
    with jax.set_mesh(mesh), memory_errors(cfg):
        check_same_run(run, cfg, data, None)
        here = what_computes(cfg, mesh)
        store = CheckpointStore(run.checkpoints, keep=1)
        newest = store.read_meta() or {}
        if newest.get("pace") is not None:  # later ones went by a clock that left no trace
            wanted = _within_pace(wanted, store.steps()[-1])
        pace = pace_again(cfg, newest.get("pace"))
        beginning = _beginning(run, store, wanted[0], cfg, mesh, pace)
        begin, first = beginning.step, beginning.computed
        if first > wanted[-1]:
            raise UserError(
                f"{run.path} logged no state after step {begin}, where its checkpoint is, up to "
                f"step {steps.stop}, so that nothing would be repeated: give an earlier A of A:B"
            )
        for note in beginning.notes:
            terminal.say(f"note   {note}")
        said = f"from {'the checkpoint' if begin else 'the initial state'} of step {begin}"
        terminal.say(f"run    {run.path}: states {wanted[0]} to {wanted[-1]} again, {said}")
        for line in _changed(record, first, wanted[-1], here) or [
            "nothing: versions, devices and flags are those of the run"
        ]:
            terminal.say(f"other  {line}")
        compared: list[Comparison] = []
        for step, value in _states(cfg, data, mesh, pace, begin, beginning.state, wanted):
            compared.append(Comparison(step, record.hashes[step], value))
            same = "same" if value == record.hashes[step] else "DIFFERS"
            terminal.say(f"state  {step}: {record.hashes[step]} in the run, {value} here: {same}")
            if value != record.hashes[step]:
                break
    changed = _changed(record, first, compared[-1].step, here)
    return Replay(tuple(compared), tuple(changed))


def _comparable(run: RunDirectory, record: Record, steps: range) -> list[int]:
    """The states of `steps` whose hashes were logged, in order."""
    if not record.hashes:
        raise UserError(
            f"{run.path} logged no hashes of its states: train.hash_every was 0, or an earlier "
            "bertjax trained it; set train.hash_every=10 and go on with it, or train it again"
        )
    wanted = [step for step in sorted(record.hashes) if steps.start <= step <= steps.stop]
    if not wanted:
        first, *_, last = [*sorted(record.hashes)] * 2
        raise UserError(
            f"{run.path} logged no hash of a state after {steps.start} to {steps.stop} steps: it "
            f"has {len(record.hashes):,}, of {first} to {last}; give A:B that holds one of them"
        )
    return wanted


def _within_pace(wanted: list[int], saved: int) -> list[int]:
    kept = [step for step in wanted if step <= saved]
    if not kept:
        raise UserError(
            f"the run goes by the clock and was saved at step {saved} last, before state "
            f"{wanted[0]}: give earlier steps"
        )
    return kept


def _changed(record: Record, first: int, last: int, here: dict[str, str]) -> list[str]:
    """What computes here otherwise than it did in the run, in any of the states computed again."""
    clauses = {}
    for environment in record.environments_of(first, last) if first <= last else ():
        for name in sorted(environment.keys() | here.keys()):
            then, now = environment.get(name, "none"), here.get(name, "none")
            if then != now:
                clauses[f"{name}: {then} in the run, {now} here"] = True
    return list(clauses)


class _Beginning(NamedTuple):
    step: int
    state: TrainState
    computed: int  # the first state that is computed here, not read
    notes: list[str]  # of checkpoints that are damaged


def _beginning(
    run: RunDirectory,
    store: CheckpointStore,
    first: int,
    cfg: PretrainConfig,
    mesh: Mesh,
    pace: Pace,
) -> _Beginning:
    """The newest kept state that is sound and not after `first`, and `pace` set to it."""
    notes: list[str] = []
    try:
        found = store.restore(checkpoint_items(abstract_state(cfg, mesh)), last=first)
    except UserError as error:
        if error.exit_code != EXIT_DAMAGED:
            raise
        found, notes = None, [f"every checkpoint up to step {first} is damaged"]
    if found is not None:
        if found.meta["pace"] is not None:
            pace.restore(found.meta["pace"])
        state = restored_state(found.items)
        notes = [f"passed over checkpoint {reason}" for reason in found.rejected]
        return _Beginning(found.step, state, found.step + 1, notes)
    start_from = _start(run, cfg, store.steps())
    state = fresh_state(cfg, mesh, start_from.all_params if start_from else None)
    return _Beginning(0, state, 0, notes)


def _start(run: RunDirectory, cfg: PretrainConfig, kept: list[int]) -> Pretrained | None:
    """The weights that the run was started from; None for random ones."""
    if is_imported(run.path):
        found = open_imported(run.path)
    elif not run.origin.exists():
        return None
    elif kind_of(Path(cfg.train.init)) is None:
        later = f" or replay from step {kept[0]} on" if kept else ""
        raise UserError(
            f"{run.path} was started from train.init={cfg.train.init}, which is not there: put it "
            f"back{later}"
        )
    else:
        found = open_pretrained(Path(cfg.train.init), "train.init")
    check_origin(run, {"weights (--init)": fingerprint(found.params)}, resumes=True)
    return found


def _states(
    cfg: PretrainConfig,
    data: Data,
    mesh: Mesh,
    pace: Pace,
    step: int,
    state: TrainState,
    wanted: list[int],
) -> Iterator[tuple[int, str]]:
    """The `wanted` states, from `state` after `step` steps on: the steps behind each, its hash."""
    work_of, last = make_phases(cfg, data, mesh), wanted[-1]
    if step in wanted:
        yield step, end_hash(begin_hash(state))
    for phase in range(len(cfg.data.phases)):
        if step == last or pace.is_over(phase, step):
            continue
        steps, work = pace.start(phase, step), work_of(phase)
        with work.load(step - steps.start, len(steps)) as batches:
            for batch in batches:
                state, _ = work.step(state, batch, pace.position(step))
                step += 1
                if step in wanted:
                    yield step, end_hash(begin_hash(state))
                if step == last or pace.is_over(phase, step):
                    break
