"""The weights of a run: what its checkpoints hold, and the encoder that few weights belong to.

A run of few weights does not hold the encoder it started from, so that many tasks share one.
base.json has the fingerprint of what it shares, and where that lay.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bertjax import model, written
from bertjax.checkpoint import CheckpointStore
from bertjax.config import FinetuneConfig
from bertjax.durable import write_json
from bertjax.errors import UserError
from bertjax.finetuning import parameters
from bertjax.finetuning.material import Start
from bertjax.finetuning.member import Member
from bertjax.finetuning.settle import method_of, task_shape
from bertjax.model.task import abstract_task_params
from bertjax.runs.directory import RunDirectory
from bertjax.runs.same_run import fingerprint
from bertjax.tree import flatten, unflatten

_FILE = "base.json"


def best_parameters(cfg: FinetuneConfig, member: Member, encoder: model.Params) -> model.Params:
    """Parameters of the best epoch of a trained model, on the first device.

    `encoder` holds those that a run of few weights shares; it may hold more. Raises UserError as
    `best_weights` does.
    """
    kept = parameters.shared(cfg, task_shape(cfg), encoder)
    return parameters.join(best_weights(cfg, member, encoder), kept)


def best_weights(cfg: FinetuneConfig, member: Member, encoder: model.Params) -> model.Params:
    """The same without what is shared: all that the run holds of it.

    Raises:
        UserError: the run has none, or none that verifies.
    """
    shape = task_shape(cfg)
    kept = parameters.shared(cfg, shape, encoder)
    wanted = flatten(abstract_task_params(cfg.model, cfg.head, shape, method_of(cfg)))
    for path in flatten(kept):
        del wanted[path]
    store = CheckpointStore(member.best, keep=1)
    found = store.restore({"params": unflatten(wanted)})
    if found is None:
        raise UserError(
            f"{member.directory} holds no trained model that verifies: delete that directory and "
            "run the same `bertjax finetune` again"
        )
    return found.items["params"]


def note_base(run: RunDirectory, cfg: FinetuneConfig, start: Start) -> None:
    """Write down which encoder a run of few weights shares, and where it lies now."""
    if method_of(cfg) is None or (start.is_of_run and (run.path / _FILE).exists()):
        return  # of a run that goes on without it the place is known already
    at = None if start.path is None else start.path.absolute()
    content = {
        "fingerprint": _fingerprint(cfg, start.params),
        "path": at and str(at),
        "from_here": at and os.path.relpath(at, run.path),
    }
    write_json(run.path / _FILE, content)


def noted_places(run: Path) -> Iterator[Path]:
    """Where the encoder of a run of few weights lay, from the root and from the run."""
    note = _read(run)
    if note["path"]:
        yield Path(note["path"])
        yield Path(os.path.normpath(run / note["from_here"]))


def check_base(run: Path, cfg: FinetuneConfig, encoder: model.Params, source: str) -> None:
    """Raise UserError if an encoder is not the one that the few weights of a run belong to."""
    ours, theirs = _read(run)["fingerprint"], _fingerprint(cfg, encoder)
    if ours != theirs:
        raise UserError(
            f"the weights of {run} belong to encoder {ours[:12]}, and {source} is {theirs[:12]}: "
            "give the encoder that the run started from to --base"
        )


def _read(run: Path) -> dict[str, Any]:
    try:
        return written.read(
            run / _FILE,
            (
                {"fingerprint": str, "path": str, "from_here": str},
                {"fingerprint": str, "path": None},
            ),
        )
    except UserError:
        raise UserError(
            f"{run} has no {_FILE} that can be read, which says what encoder its weights belong "
            "to: the same `bertjax finetune` writes it again"
        ) from None


def _fingerprint(cfg: FinetuneConfig, encoder: model.Params) -> str:
    return fingerprint(parameters.shared(cfg, task_shape(cfg), encoder))
