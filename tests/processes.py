"""Several processes of one run on this machine, and what each of them said."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from bertjax import cluster

HOST = socket.gethostname()

# A process of a cluster that does what the test says, instead of `bertjax VERB`.
PROGRAM = """
import os, signal, sys, threading, time
from pathlib import Path
import jax
from bertjax import cluster
from bertjax.errors import UserError
with cluster.joined():
    me = jax._src.distributed.global_state.process_id
    exec(os.environ["WORK"])
"""


def variables(count: int) -> list[dict[str, str]]:
    """What each of `count` processes on this machine must be told."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    shared = {"JAX_COORDINATOR_ADDRESS": f"localhost:{port}", "JAX_NUM_PROCESSES": str(count)}
    return [shared | {"JAX_PROCESS_ID": str(index)} for index in range(count)]


def start_work(work: str, told: list[dict[str, str]], **more: str) -> list[subprocess.Popen[str]]:
    """One process for each of `told`, with one device, that joins the others and does `work`."""
    here = {"PYTHONPATH": str(Path(cluster.__file__).parents[1]), "XLA_FLAGS": "", "WORK": work}
    return [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **here, **one, **more},
        )
        for one in told
    ]


def finish_all(processes: list[subprocess.Popen[str]], *expected: int) -> list[str]:
    """Wait for each to leave with its code, or all with the one; returns what each said."""
    codes = expected if len(expected) > 1 else expected * len(processes)
    said = [process.communicate(timeout=200)[1] for process in processes]
    assert [process.returncode for process in processes] == list(codes), said
    return said
