"""What several JAX processes need to agree on; with one process every call is free."""

from __future__ import annotations

from collections import Counter

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils

BARRIER_SECONDS = 600  # a lost process must end the wait: an unbounded one can hold a whole pod
_passed: Counter[str] = Counter()  # barriers by name; the service lets a key be used once


def is_first() -> bool:
    """Whether this process is the one that writes what all share."""
    return jax.process_index() == 0


def barrier(name: str) -> None:
    """Wait until every process has come here, for `BARRIER_SECONDS` at most.

    Goes through JAX's coordination service and not the devices, so any thread may call it. Two
    threads may stand before barriers of different names and pass them in any order; those of one
    name belong to one thread at a time. Raises JaxRuntimeError on time-out.
    """
    if jax.process_count() > 1:
        _passed[name] += 1
        wait = ocp.multihost.get_barrier_sync_fn()
        wait(key=f"bertjax {name} {_passed[name]}", timeout_ms=BARRIER_SECONDS * 1000)


def from_first(value: int) -> int:
    """Return the first process's `value` in all of them. Main thread only: it uses the devices."""
    if jax.process_count() == 1:
        return value
    return int(multihost_utils.broadcast_one_to_all(np.int32(value)))
