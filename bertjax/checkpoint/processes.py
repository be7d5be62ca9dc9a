"""What several JAX processes need to agree on; with one process every call is free."""

from __future__ import annotations

import itertools

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils

BARRIER_SECONDS = 600  # a lost process must end the wait: an unbounded one can hold a whole pod
_count = itertools.count()


def is_first() -> bool:
    """Whether this process is the one that writes what all share."""
    return jax.process_index() == 0


def barrier(name: str) -> None:
    """Wait until every process has come here, for `BARRIER_SECONDS` at most.

    Goes through JAX's coordination service and not the devices, so any thread may call it; all
    processes must pass the same barriers in the same order. Raises JaxRuntimeError on time-out.
    """
    if jax.process_count() > 1:
        wait = ocp.multihost.get_barrier_sync_fn()
        wait(key=f"bertjax {next(_count)} {name}", timeout_ms=BARRIER_SECONDS * 1000)


def from_first(value: int) -> int:
    """Return the first process's `value` in all of them. Main thread only: it uses the devices."""
    if jax.process_count() == 1:
        return value
    return int(multihost_utils.broadcast_one_to_all(np.int32(value)))
