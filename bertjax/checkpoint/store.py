"""One directory of training steps: saved in the background, restored if every byte is right.

Layout, with `30` the newest step:

    30/manifest.json, 30/params/..., 30/optimizer/...   one Orbax folder an item
    tmp.40...           a save under way, or what a killed one left; the next writer removes it
    20.rejected         failed verification on restore; kept for a person to look at

A step is written as `tmp.N`, hashed, sealed with its manifest and then renamed to `N`, so the
one rename is what makes it exist. Reading never changes the directory; only `save` does.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax

from bertjax import cluster
from bertjax.checkpoint import arrays, disk, manifest
from bertjax.durable import sync
from bertjax.errors import EXIT_DAMAGED, UserError

# A step that is being replaced by a new save of itself stays readable under the second name.
_STEP = re.compile(r"(0|[1-9][0-9]{0,17})(\.replaced)?")
_UNFINISHED = re.compile(r"tmp\.(removed\.)?[0-9].*")

# What the first process tells the others instead of the index of a candidate.
_NONE, _DAMAGED = -1, -2


@dataclass(frozen=True)
class Restored:
    """A checkpoint that verified."""

    step: int
    items: dict[str, Any]  # as the abstract items, with arrays in place
    meta: dict[str, Any]  # what `save` was given
    rejected: list[str]  # newer steps passed over, each with the reason


class CheckpointStore:
    """Checkpoints of one run under `directory`; the newest `keep` of them stay.

    With several JAX processes, all of them must make the same calls in the same order, on a
    directory they share. One writer at a time: the run's lock sees to that.
    """

    def __init__(self, directory: Path, keep: int):
        self.directory = Path(directory).absolute()  # Orbax refuses relative paths
        self.keep = keep
        self._finisher = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")
        self._pending: Future[None] | None = None
        self._to_move_aside: list[Path] = []
        self._writer: arrays.Writer | None = None

    # Writing.

    def save(self, step: int, items: dict[str, Any], meta: dict[str, Any]) -> None:
        """Begin to save pytrees of arrays, by item name, and `meta` (JSON values) as `step`.

        Returns once the arrays may be donated or overwritten; the rest happens in the
        background. A save still under way is waited for first. Raises what `check` raises, and
        UserError when the disk has too little room.
        """
        meta = json.loads(json.dumps(meta, allow_nan=False))  # the caller may change its own
        self.wait()
        needed = arrays.total_bytes(items)
        with disk.as_user_errors(step, self.directory, needed):
            if _is_first():
                self._prepare()
                disk.require_room(step, self.directory, needed)
            cluster.barrier(f"prepared {self.directory} {step}")
            self._writer = self._writer or arrays.Writer(str(self.directory))
            self._writer.begin(self._unfinished(step), items)
        table = {name: arrays.describe(tree) for name, tree in items.items()}
        self._pending = self._finisher.submit(self._finish, step, meta, table, needed)

    def try_out(self) -> None:
        """Write a small checkpoint and read it back, before hours depend on that.

        File systems differ in what they allow. Raises UserError, and leaves nothing behind.
        """
        folder, item = self._unfinished(0), {"trial": jax.numpy.arange(4.0)}
        with disk.as_user_errors(0, self.directory, 0):
            if _is_first():
                self._prepare()
            cluster.barrier(f"trial of {self.directory}")
            self._writer = self._writer or arrays.Writer(str(self.directory))
            self._writer.begin(folder, item)
            self._writer.wait()
        try:
            shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), item)
            arrays.read(folder, shapes)
        except Exception as error:  # Orbax and TensorStore have many kinds of them
            reason = " ".join(str(error).split())[:120]
            raise UserError(
                f"{self.directory}: a checkpoint that was written there cannot be read back "
                f"({reason}): choose a directory on another file system"
            ) from None
        finally:
            cluster.barrier(f"end of the trial of {self.directory}")
            if _is_first():
                self._remove_unfinished()
                with contextlib.suppress(OSError):  # there are other checkpoints
                    self.directory.rmdir()

    def check(self) -> None:
        """Raise the failure of the last background save, if it has failed by now.

        A full disk or the like is a UserError naming the lost step; it is raised once.
        """
        if self._pending is not None and self._pending.done():
            self.wait()

    def wait(self) -> None:
        """Wait until the save under way is on disk and sealed; raises as `check` does."""
        if self._pending is not None:
            future, self._pending = self._pending, None
            future.result()

    def _finish(self, step: int, meta: dict[str, Any], table: dict[str, Any], needed: int) -> None:
        """Seal and publish a step once Orbax has written it (in the background thread)."""
        assert self._writer is not None
        folder = self._unfinished(step)
        try:
            with disk.as_user_errors(step, self.directory, needed):
                self._writer.wait()
                if _is_first():
                    manifest.write(folder, step, meta, table)
                    self._publish(step)
                    self._prune(step)
        except BaseException:
            if _is_first():  # the room it took may be what is missing
                self._remove_unfinished()
            raise
        finally:
            cluster.barrier(f"published {self.directory} {step}")

    def _prepare(self) -> None:
        """Clear what is in the way of a save; only a writer may do this, so `restore` does not."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self._remove_unfinished()
        for folder in self._to_move_aside:
            _move_aside(folder)
        self._to_move_aside = []

    def _publish(self, step: int) -> None:
        final = self._path(step)
        if final.exists() and not self._is_sealed(final):
            _move_aside(final)
        if final.exists():
            old = final.with_name(f"{step}.replaced")
            if old.exists():
                shutil.rmtree(old)
            final.rename(old)
        self._unfinished(step).rename(final)
        sync(self.directory)

    def _prune(self, newest: int) -> None:
        """Remove what the good step just written makes unneeded.

        A higher step than that one belongs to a continuation which the run has left by going
        back behind it; restoring it would undo what was just saved.
        """
        steps = [s for s in self.steps() if s <= newest]
        kept = {self._path(s) for s in steps[-self.keep :]}
        for _, folder in self._candidates():
            if folder not in kept and self._is_sealed(folder):
                doomed = folder.with_name(f"tmp.removed.{folder.name}")
                folder.rename(doomed)  # a step never exists by halves
                shutil.rmtree(doomed, ignore_errors=True)  # or by the next save

    @staticmethod
    def _is_sealed(folder: Path) -> bool:
        """Whether `save` made this folder; what it did not make, it does not remove."""
        try:
            manifest.read(folder)
        except manifest.DamagedError:
            return False
        return True

    def _remove_unfinished(self) -> None:
        for path in self._unfinished_paths():
            shutil.rmtree(path, ignore_errors=True)

    # Reading.

    def steps(self) -> list[int]:
        """All steps there are, ascending, none of them verified."""
        return sorted({step for step, _ in self._candidates()})

    def restore(
        self, abstract_items: dict[str, Any], step: int | None = None, *, last: int | None = None
    ) -> Restored | None:
        """Restore the newest step that verifies, or `step` itself; None when there is none.

        Steps after `last` are not looked at.
        `abstract_items` maps each item wanted to a pytree of `jax.ShapeDtypeStruct`, whose
        shardings are those of the result, however the arrays were laid out when saved; with no
        items it only verifies. Raises UserError with exit code 4 if checkpoints exist but none
        verifies, and with exit code 2 if the arrays in it are not those asked for.
        """
        found, rejected = self._find(step, last)
        if found is None:
            return None
        folder, contents = found
        for name, tree in abstract_items.items():
            arrays.require_match(f"checkpoint {folder}", name, contents.arrays.get(name), tree)
        items = arrays.read(folder, abstract_items)
        return Restored(contents.step, items, contents.meta, rejected)

    def restore_all(self) -> Restored | None:
        """Restore every item of the newest step that verifies, as nested dicts on one device."""
        found, rejected = self._find(None)
        if found is None:
            return None
        folder, contents = found
        shapes = {name: arrays.abstract(table) for name, table in contents.arrays.items()}
        items = arrays.read(folder, shapes)
        return Restored(contents.step, items, contents.meta, rejected)

    def latest_verified_step(self) -> int | None:
        """The step `restore` would choose; None when there are no checkpoints."""
        found, _ = self._find(None)
        return None if found is None else found[1].step

    def read_meta(self, step: int | None = None) -> dict[str, Any] | None:
        """The `meta` of the newest step whose manifest is intact, or of `step`; None if none is.

        Cheap: the arrays are not verified, so this is for showing, not for resuming.
        """
        for number, folder in self._candidates():
            if step is None or number == step:
                try:
                    return manifest.read(folder).meta
                except manifest.DamagedError:
                    continue
        return None

    def _find(
        self, step: int | None, last: int | None = None
    ) -> tuple[tuple[Path, manifest.Manifest] | None, list[str]]:
        """Walk down to the first folder that verifies; the first process decides for all."""
        candidates = [(s, f) for s, f in self._candidates() if step is None or s == step]
        if last is not None:
            candidates = [(s, f) for s, f in candidates if s <= last]
        unfinished = self._unfinished_paths() if step is None else []
        ignored = [f"{path.name}: a save that never finished" for path in unfinished]
        chosen = _NONE if not candidates else _DAMAGED
        reasons = []
        for i, (number, folder) in enumerate(candidates if _is_first() else []):
            try:
                contents = manifest.verify(folder)
                if contents.step != number:
                    raise manifest.DamagedError(f"{manifest.NAME} is that of step {contents.step}")
                chosen = i
                break
            except manifest.DamagedError as error:
                reasons.append(f"{folder.name}: {error}")
                self._to_move_aside.append(folder)
        chosen = int(cluster.gather(f"checkpoint of {self.directory}", str(chosen))[0])
        if chosen == _DAMAGED:
            why = "; ".join(reasons) or "the first process says why"
            raise UserError(
                f"no checkpoint in {self.directory} verifies ({why}): restore "
                "the files from a copy, or start again in another run directory",
                EXIT_DAMAGED,
            )
        if chosen == _NONE:
            return None, ignored
        folder = candidates[chosen][1]
        return (folder, manifest.read(folder)), reasons + ignored

    def _candidates(self) -> list[tuple[int, Path]]:
        """Everything named like a step, newest first."""
        found = []
        for path in self.directory.glob("*"):
            match = _STEP.fullmatch(path.name)
            if match:
                found.append((int(match[1]), not match[2], path))
        return [(step, path) for step, _, path in sorted(found, reverse=True)]

    def _unfinished_paths(self) -> list[Path]:
        return sorted(p for p in self.directory.glob("*") if _UNFINISHED.fullmatch(p.name))

    def _path(self, step: int) -> Path:
        return self.directory / str(step)

    def _unfinished(self, step: int) -> Path:
        return self.directory / f"tmp.{step}"


def _is_first() -> bool:
    """Whether this process is the one that writes what all share."""
    return jax.process_index() == 0


def _move_aside(folder: Path) -> None:
    """Rename a damaged step so that nothing takes it for one, and keep its bytes."""
    target = folder.with_name(f"{folder.name}.rejected")
    count = 2
    while target.exists():
        target = folder.with_name(f"{folder.name}.rejected-{count}")
        count += 1
    if folder.exists():
        folder.rename(target)
