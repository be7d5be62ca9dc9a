"""The directory of one run: its layout, its lock and the description of what ran.

runs/x/
  config.json         the resolved config, enough to run again
  origin.json         fingerprints of the weights it was started with, if there were any
  environment.json    versions and devices
  command.txt         one line for each start of the run
  metrics.jsonl       one JSON object a line
  review.json         whether its loss is normal, written at its end (`bertjax.review`)
  lock                held while the run lives; says by whom
  tokenizer/          the corpus's tokenizer
  checkpoints/        the newest steps
  best/               the step with the lowest held-out loss
  initial/            the weights it starts from, if `bertjax import`, `finetune` or `adapt` made it
  corpora/            of a run of `bertjax adapt`: the text of the domain, and general text with
                      new words
  adaptation.json     of the same: what it began with, and what was gained and forgotten
  profile/            what `--profile` traced, for xprof
  pace.json           how the steps of a run of `train.minutes` went through its schedule
"""

from __future__ import annotations

import contextlib
import os
import shlex
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import jax

from bertjax import written
from bertjax.durable import lock, replace_file, write_json
from bertjax.errors import UserError
from bertjax.runs.environment import FORM, describe_environment
from bertjax.runs.kinds import Kind, describe, kind_of


class RunInUse(UserError):
    """Another process holds the lock of a run."""


@dataclass(frozen=True)
class RunDirectory:
    """Where everything of a run lies; making one of these touches no file."""

    path: Path

    @property
    def config(self) -> Path:
        """The resolved config as JSON (`bertjax.overrides.from_json`)."""
        return self.path / "config.json"

    @property
    def origin(self) -> Path:
        """Fingerprints of what the run was started from (`bertjax.runs.same_run`)."""
        return self.path / "origin.json"

    @property
    def pace(self) -> Path:
        """The stretches of `bertjax.train.pace`."""
        return self.path / "pace.json"

    @property
    def profile(self) -> Path:
        """Directory of traces."""
        return self.path / "profile"

    @property
    def environment(self) -> Path:
        """Versions and devices as JSON."""
        return self.path / "environment.json"

    @property
    def command(self) -> Path:
        """The command lines that started and resumed the run."""
        return self.path / "command.txt"

    @property
    def metrics(self) -> Path:
        """What was logged, one JSON object a line."""
        return self.path / "metrics.jsonl"

    @property
    def review(self) -> Path:
        """What `bertjax.review.review` found."""
        return self.path / "review.json"

    @property
    def lock(self) -> Path:
        """Who runs, or ran last; its presence marks a run directory."""
        return self.path / "lock"

    @property
    def tokenizer(self) -> Path:
        """Directory of the tokenizer's files."""
        return self.path / "tokenizer"

    @property
    def checkpoints(self) -> Path:
        """Store of the newest steps."""
        return self.path / "checkpoints"

    @property
    def best(self) -> Path:
        """Store of the best step."""
        return self.path / "best"

    @property
    def initial(self) -> Path:
        """Store of imported weights, as step 0; absent in other runs."""
        return self.path / "initial"

    def copy_tokenizer(self, directory: Path) -> None:
        """Fill tokenizer/ with those of a corpus, which may be read-only; the copies are not."""
        with _as_user_errors(self.path):
            for source in sorted(directory.iterdir()):
                replace_file(self.tokenizer / source.name, source.read_bytes())

    def write_pace(self, meta: dict[str, Any]) -> None:
        """Write pace.json."""
        with _as_user_errors(self.path):
            write_json(self.pace, meta)

    def read_environment(self) -> dict[str, Any] | None:
        """Its content, None where there is none; UserError where it is damaged."""
        return written.read(self.environment, FORM) if self.environment.exists() else None

    def describe(self, config_json: str, command: Sequence[str]) -> None:
        """Write config.json and environment.json and add a line to command.txt."""
        with _as_user_errors(self.path):
            replace_file(self.config, config_json.encode())
            write_json(self.environment, describe_environment())
            with open(self.command, "a", encoding="utf-8") as file:
                file.write(shlex.join(command) + "\n")


@contextlib.contextmanager
def open_run(
    path: str | Path, kind: Kind, say: Callable[[str], None] = lambda line: None
) -> Iterator[RunDirectory]:
    """Create or reopen the directory of a run of `kind` and hold its lock.

    `say` is told where the file system has no locks. With several JAX processes the first one
    holds the lock for all. Raises UserError if another run has the lock, if the directory holds
    anything but a run of that kind, or if it cannot be written.
    """
    run = RunDirectory(Path(path).expanduser().absolute())
    if jax.process_index() != 0:
        yield run
        return
    with _as_user_errors(run.path):
        run.path.mkdir(parents=True, exist_ok=True)
        other = kind_of(run.path) not in (kind, None)
        if other or (not run.lock.exists() and any(run.path.iterdir())):
            raise UserError(
                f"--workdir {run.path} is {describe(run.path)}, not {kind.value}: choose a new or "
                "empty directory"
            )
        file = open(run.lock, "a+", encoding="utf-8")  # noqa: SIM115
    with file:
        _take_lock(run, file, say)
        with _as_user_errors(run.path):
            run.tokenizer.mkdir(exist_ok=True)
        yield run


def _take_lock(run: RunDirectory, file: IO[str], say: Callable[[str], None]) -> None:
    """Lock the open `file` until it is closed or the process dies, and sign it."""
    try:
        if not lock(file.fileno()):
            say(f"{run.path}: the file system has no locks: do not start this run twice at once")
    except BlockingIOError:
        file.seek(0)
        holder = " ".join(file.read(200).split()) or "another process"
        raise RunInUse(
            f"{run.path} is in use by {holder}: wait for that run, stop it, or choose another "
            "directory"
        ) from None
    with _as_user_errors(run.path):
        file.truncate(0)
        file.write(f"pid {os.getpid()} on {socket.gethostname()}\n")
        file.flush()


@contextlib.contextmanager
def _as_user_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"run directory {path} cannot be written ({error.strerror}): choose one that can"
        ) from None
