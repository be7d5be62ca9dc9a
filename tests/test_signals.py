"""Signals become a request, the second Ctrl-C does not, and two processes agree."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest
from processes import finish_all, start_work, variables

from bertjax.cli.signals import EXIT_CODES, StopSignals
from bertjax.errors import EXIT_INTERRUPTED, EXIT_PREEMPTED, EXIT_REQUESTED

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
        assert stop.requested is None and stop.asked() is None and stop.exit_code(None) == 0
        os.kill(os.getpid(), sent)
        assert stop.requested == sent and stop.asked() == sent.name
        assert stop.exit_code(stop.asked()) == code
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


@pytest.mark.alone
def test_two_processes_stop_at_the_same_step():
    work = """
from bertjax import cluster
from bertjax.cli.signals import StopSignals
with StopSignals() as stop:
    for step in range(10):
        if step == 3 and me == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        if cluster.anyone("stop", stop.asked()) == "SIGTERM":
            break
assert step == 3, step
"""
    assert finish_all(start_work(work, variables(2)), 0) == ["", ""]
