"""Signals become a request, the second Ctrl-C does not, and two processes agree."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from bertjax.errors import EXIT_INTERRUPTED, EXIT_PREEMPTED, EXIT_REQUESTED
from bertjax.train.signals import EXIT_CODES, StopSignals

ROOT = Path(__file__).resolve().parents[1]
ALL = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (signal.SIGTERM, EXIT_PREEMPTED),
        (signal.SIGINT, EXIT_INTERRUPTED),
        (signal.SIGUSR1, EXIT_REQUESTED),
    ],
)
def test_each_signal_is_a_request_with_its_own_exit_code(sent, code):
    before = [signal.getsignal(s) for s in ALL]
    with StopSignals() as stop:
        assert stop.requested is None and stop.agreed() is None
        os.kill(os.getpid(), sent)
        assert stop.requested == stop.agreed() == sent
        assert EXIT_CODES[stop.requested] == code
    assert [signal.getsignal(s) for s in ALL] == before


def test_exit_codes_are_those_a_scheduler_knows():
    assert [EXIT_CODES[s] for s in ALL] == [75, 130, 76]


def test_the_first_signal_counts_and_repeats_do_no_harm():
    with StopSignals() as stop:
        for sent in (signal.SIGUSR1, signal.SIGTERM, signal.SIGTERM, signal.SIGUSR1):
            os.kill(os.getpid(), sent)
        assert stop.requested == signal.SIGUSR1


def test_the_second_ctrl_c_stops_at_once_even_after_another_signal():
    with StopSignals() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        assert stop.requested == signal.SIGTERM


def test_handlers_come_back_after_an_error():
    before = [signal.getsignal(s) for s in ALL]
    with pytest.raises(RuntimeError), StopSignals():
        raise RuntimeError
    assert [signal.getsignal(s) for s in ALL] == before


def test_a_sleeping_loop_sees_a_signal_from_outside():
    with StopSignals() as stop:
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1)).start()
        deadline = time.monotonic() + 10
        while stop.requested is None and time.monotonic() < deadline:
            time.sleep(0.01)
        assert stop.requested == signal.SIGUSR1


TWO_PROCESSES = """
import os, signal, sys, jax
jax.config.update("jax_cpu_collectives_implementation", "gloo")
jax.distributed.initialize(f"localhost:{sys.argv[2]}", 2, int(sys.argv[1]))
from bertjax.train.signals import EXIT_CODES, StopSignals
with StopSignals() as stop:
    for step in range(10):
        if step == 3 and jax.process_index() == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        agreed = stop.agreed()
        if agreed:
            print("stopped at step", step, flush=True)
            os._exit(EXIT_CODES[agreed])
"""


def test_two_processes_stop_at_the_same_step():
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT), "XLA_FLAGS": ""}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", TWO_PROCESSES, str(i), str(port)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            text=True,
        )
        for i in range(2)
    ]
    outputs = [process.communicate(timeout=120) for process in started]
    assert [process.returncode for process in started] == [EXIT_PREEMPTED] * 2, outputs
    assert [out.splitlines()[-1] for out, _ in outputs] == ["stopped at step 3"] * 2
