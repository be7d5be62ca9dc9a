"""Several processes of one run on this machine, and what each of them said."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import jax
from forked import Forked

from bertjax import cluster

HOST = socket.gethostname()
# What a test's lines find there beside `cluster` and `me`, the number of the process.
NAMES = """
import os, signal, threading, time
from pathlib import Path
from bertjax.errors import UserError
"""


def variables(count: int) -> list[dict[str, str]]:
    """What each of `count` processes on this machine must be told."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    shared = {"JAX_COORDINATOR_ADDRESS": f"localhost:{port}", "JAX_NUM_PROCESSES": str(count)}
    return [shared | {"JAX_PROCESS_ID": str(index)} for index in range(count)]


def start_work(work: str, told: list[dict[str, str]], **more: str) -> list[Forked]:
    """One process for each of `told`, with one device, that joins the others and does `work`."""
    here = {"PYTHONPATH": str(Path(cluster.__file__).parents[1]), "XLA_FLAGS": ""}
    return [
        Forked(_do_with_the_others, work, environment={**os.environ, **here, **one, **more})
        for one in told
    ]


def _do_with_the_others(work: str) -> None:
    with cluster.joined():
        me = jax._src.distributed.global_state.process_id
        exec(NAMES + work, {"cluster": cluster, "me": me})


def finish_all(processes: list[Forked], *expected: int) -> list[str]:
    """Wait for each to leave with its code, or all with the one; returns what each said."""
    codes = expected if len(expected) > 1 else expected * len(processes)
    said = [process.communicate(timeout=200)[1] for process in processes]
    assert [process.returncode for process in processes] == list(codes), said
    return said
