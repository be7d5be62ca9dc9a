"""Whether a start is of the run it says it is: by what was in its files, not by their names."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from bertjax import written
from bertjax.durable import write_json
from bertjax.errors import UserError
from bertjax.overrides import describe_difference
from bertjax.runs.directory import RunDirectory
from bertjax.tree import flatten

_SHOWN = 6  # differences between configs in a message


def refuse_changes(
    run: RunDirectory, before: Any, now: Any, may_change: Iterable[str] = ()
) -> None:
    """Raise UserError if two configs differ in a field that is not one of `may_change`."""
    allowed = set(may_change)
    changes = [c for c in describe_difference(before, now) if c.split(":")[0] not in allowed]
    # What the user set comes before what follows from it.
    changes.sort(key=lambda change: change.startswith("task.labels."))
    if changes:
        more = f"; and {len(changes) - _SHOWN} more" if len(changes) > _SHOWN else ""
        raise UserError(
            f"{run.path} was started with another config ({'; '.join(changes[:_SHOWN])}{more}): "
            f"use the same values to resume it, or another --workdir (--init {run.path} takes its "
            "weights there)"
        )


def check_origin(
    run: RunDirectory,
    origin: Mapping[str, str],
    resumes: bool,
    about: Mapping[str, str] | None = None,
) -> None:
    """Note the fingerprints of what a new run starts from; compare those of one that goes on.

    `origin` maps what a person calls a thing, such as "weights (--init)", to its fingerprint;
    `about` is noted beside them and compared with nothing.

    Raises:
        UserError: something is not what the run was started with.
    """
    if not run.origin.exists():
        if not resumes:
            write_json(run.origin, {**(about or {}), **origin})
        return
    before = written.read(run.origin, {str: written.TEXT})
    changed = [name for name in origin if origin[name] != before.get(name)]
    if changed:
        raise UserError(
            f"{run.path} was started with other {', '.join(changed)}: give those back to resume "
            "it, or another --workdir"
        )


def fingerprint(params: Any) -> str:
    """SHA-256 of every array of a tree with its path, shape and type, in hexadecimal."""
    digest = hashlib.sha256()
    for name, leaf in flatten(params).items():
        array = np.ascontiguousarray(leaf)
        digest.update(f"{name} {array.shape} {array.dtype}\n".encode())
        digest.update(array.data)
    return digest.hexdigest()
