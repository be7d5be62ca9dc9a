"""Several JAX processes as one run: joining, meeting, agreeing, and ending together.

Everything here goes through JAX's coordination service, which lives in process 0, and never
through the devices: no wait is without a limit, and the name of who is missing is known. With one
process every call is free.

A process that fails says why in the service's key-value store, and the others end with its line
and its exit code. One that can say nothing any more is found by its beat: each process writes a
count every few seconds and process 0 reads them. JAX's own heartbeat would find it too, but ends
the process from C++ with a stack trace and no host; it is left three times the time, as a net.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from typing import Any, NoReturn

import jax
from jax._src import distributed  # the service's client has no public name (Orbax does the same)

from bertjax.errors import EXIT_INTERRUPTED, UserError

EXIT_LOST_PROCESS = 5  # another process died, hung or never came: the same command resumes

# For hosts or disks slower than these, in whole seconds.
_BARRIER = ("BERTJAX_BARRIER_SECONDS", 600)  # for all processes to come to one point
_SILENCE = ("BERTJAX_LOST_SECONDS", 40)  # without a sign of life before a process counts as dead

_STOPPED = "bertjax/stopped"  # why the run ends, and the exit code; written once
_BEATS = "bertjax/beats/"
_BEATS_BEFORE_LOST = 10
_PATIENCE = 10  # seconds of waiting for the others before it is said
_LATE = 15  # seconds that a busy machine may need to say what it knows
_RESUMES = ": the same command in all processes goes on from the last checkpoint"
_LAST_WORDS = 2  # seconds that process 0 outlives its own end, for the others to read why
_TIMED_OUT = re.compile(
    r"Barrier timed out\. Id: (?:bertjax )?(?P<name>.+?)(?: \d+)?(?:::\d+)?\. This"
    r".+task names:\n(?P<missing>(?:\S+\n)+)",
    re.S,
)

_passed: Counter[str] = Counter()  # meetings by name; the service lets a key be used once
_hosts: list[str] = []  # by process, as they said on joining


@contextlib.contextmanager
def joined() -> Iterator[None]:
    """Be one of the cluster's processes; must begin before JAX is asked for its devices.

    All processes leave together. If one fails, dies or falls silent, this ends the others from
    wherever they are, with one line and that process's exit code (`EXIT_LOST_PROCESS` if it died),
    so that nothing after the block runs. Raises UserError if there is no cluster to join.
    """
    _initialize()
    client = _client()
    if client is None:
        yield
        return
    watch = _Watch(client)
    try:
        _hosts[:] = gather("joining", socket.gethostname())
        yield
        barrier("end of the run")
    except BaseException as error:
        watch.fail(error)
    watch.end()


def barrier(name: str) -> None:
    """Wait until every process has come here, for BERTJAX_BARRIER_SECONDS at most.

    Any thread may call it. Two threads may stand before barriers of different names and pass them
    in any order; those of one name belong to one thread at a time. Raises UserError naming the
    processes that did not come.
    """
    client = _client()
    if client is None:
        return
    _passed[name] += 1
    try:
        client.wait_at_barrier(f"bertjax {name} {_passed[name]}", _seconds(*_BARRIER) * 1000)
    except jax.errors.JaxRuntimeError as error:
        raise _named(error) from None


def gather(name: str, value: str) -> list[str]:
    """The `value` of every process, by index, in all of them; a `barrier` of that name."""
    client = _client()
    if client is None:
        return [value]
    me, turn = distributed.global_state.process_id, _passed[name] + 1
    place = f"bertjax/gathered/{name}/"
    client.key_value_set(f"{place}{turn}/{me}", value)
    barrier(name)
    found = {
        int(key.rpartition("/")[2]): v for key, v in client.key_value_dir_get(f"{place}{turn}")
    }
    if turn > 1:  # whoever came to this barrier has read what was gathered at the one before
        client.key_value_delete(f"{place}{turn - 1}/{me}")
    return [found[index] for index in range(_count())]


def anyone(name: str, value: str | None) -> str | None:
    """The `value` of the first process that has one, in all of them; a `barrier` of that name."""
    return next(filter(None, gather(name, value or "")), None)


def require_agreement(facts: dict[str, str]) -> None:
    """Refuse to go on unless `facts`, values by name, are the same in every process.

    Raises UserError, the same in all of them, with the first name that differs and both values.
    """
    first, *others = map(json.loads, gather("agreement", json.dumps(facts)))
    for index, other in enumerate(others, start=1):
        for name in dict.fromkeys([*first, *other]):
            ours, theirs = first.get(name, "absent"), other.get(name, "absent")
            if ours != theirs:
                raise UserError(
                    f"{name} is {ours} in {process(0)} and {theirs} in {process(index)}: start "
                    "every process with the same command, code and corpus"
                )


def process(index: int) -> str:
    """`process 2 (host)`."""
    return f"process {index} ({_hosts[index]})" if index < len(_hosts) else f"process {index}"


class _Watch:
    """Two threads that see another process end, and end this one."""

    def __init__(self, client: Any) -> None:
        self.client, self.limit = client, _seconds(*_SILENCE)
        self.me = distributed.global_state.process_id
        self.answered = time.monotonic()  # when process 0 last took a beat
        self.heard = dict.fromkeys(range(_count()), ("", self.answered))  # beats and when
        self.ending = threading.Event()  # this process ends by itself, well or badly
        self.leaving = threading.Lock()  # taken by the thread that says why, and never given back
        self.threads = [
            threading.Thread(target=run, daemon=True) for run in (self._beat, self._listen)
        ]
        for thread in self.threads:
            thread.start()

    def end(self) -> None:
        """Stop watching, once all have come to the end of the run."""
        self.ending.set()
        self._announce("", 0)  # wakes the listeners
        for thread in self.threads:
            thread.join(timeout=self.limit)

    def fail(self, error: BaseException) -> NoReturn:
        """End this process, and tell the others, because of `error`."""
        if isinstance(error, jax.errors.JaxRuntimeError):
            error = _named(error)
        if _is_broken_collective(error):
            # The devices of a dead process answer no longer; its beat will tell which it was.
            self.threads[1].join(timeout=self.limit + _LATE)
        self.ending.set()
        text, code = f"{type(error).__name__}: {error}".partition("\n")[0], 1
        if isinstance(error, UserError):
            text, code = str(error), error.exit_code
        elif isinstance(error, KeyboardInterrupt):
            text, code = "interrupted", EXIT_INTERRUPTED
        else:
            traceback.print_exception(error)
        self._announce(f"{process(self.me)} stopped: {text}", code)
        self._leave(text, code)

    def _beat(self) -> None:
        beats = 0
        with contextlib.suppress(jax.errors.JaxRuntimeError):  # the listener sees that too
            while not self.ending.wait(self.limit / _BEATS_BEFORE_LOST):
                beats += 1
                self.client.key_value_set(f"{_BEATS}{self.me}", str(beats), allow_overwrite=True)
                self.answered = time.monotonic()
                if self.me == 0:
                    self._look_for_silence()

    def _look_for_silence(self) -> None:
        now = time.monotonic()
        for key, beat in self.client.key_value_dir_get(_BEATS):
            index = int(key.rpartition("/")[2])
            if self.heard[index][0] != beat:
                self.heard[index] = (beat, now)
        silent = [index for index, (_, when) in self.heard.items() if now - when > self.limit]
        if silent:
            names = ", ".join(map(process, silent))
            why = f"{names} died: no sign of life for {self.limit} s{_RESUMES}"
            self._announce(why, EXIT_LOST_PROCESS)

    def _listen(self) -> None:
        why, code = None, EXIT_LOST_PROCESS
        while why is None:
            try:
                why, code = json.loads(self.client.blocking_key_value_get(_STOPPED, 1000))
            except jax.errors.JaxRuntimeError as error:
                if "DEADLINE_EXCEEDED" not in str(error):
                    why = f"{process(0)} died: its coordination service is gone{_RESUMES}"
                elif time.monotonic() - self.answered > self.limit:
                    why = f"{process(0)} died: no answer for {self.limit} s{_RESUMES}"
        if self.ending.is_set() or not why:
            return
        # A mistake that all share is each one's own, and each is about to say so itself.
        if code == EXIT_LOST_PROCESS or not self.ending.wait(1):
            self._leave(why, code)

    def _announce(self, why: str, code: int) -> None:
        with contextlib.suppress(jax.errors.JaxRuntimeError):  # said already, or nobody to tell
            self.client.key_value_set(_STOPPED, json.dumps([why, code]))

    def _leave(self, why: str, code: int) -> NoReturn:
        """End at once: a normal exit would wait for the others in JAX's shutdown."""
        self.leaving.acquire()
        with contextlib.suppress(OSError, ValueError):
            os.write(2, f"bertjax: {why}\n".encode())
            sys.stdout.flush()
        if self.me == 0:
            time.sleep(_LAST_WORDS)
        os._exit(code)


def _initialize() -> None:
    address = os.environ.get("JAX_COORDINATOR_ADDRESS")
    count, index = (_integer(name) for name in ("JAX_NUM_PROCESSES", "JAX_PROCESS_ID"))
    if address is not None and (count is None or index is None or not 0 <= index < count):
        raise UserError(
            f"JAX_COORDINATOR_ADDRESS={address} needs JAX_NUM_PROCESSES (seen: {count}) and "
            f"JAX_PROCESS_ID from 0 to one less (seen: {index}): set both in every process"
        )
    if address is not None and not re.fullmatch(r".+:\d+", address):
        raise UserError(
            f"JAX_COORDINATOR_ADDRESS={address} has no port: give HOST:PORT of the first process"
        )
    limit = _seconds(*_BARRIER)
    # JAX ends a process that waits for the others in vain, from C++; this comes before it.
    timers = [
        threading.Timer(_PATIENCE, _say_that_we_wait, [limit]),
        threading.Timer(limit, _give_up_joining, [limit]),
    ]
    for timer in timers:
        timer.daemon = True
        timer.start()
    try:
        jax.distributed.initialize(
            address,
            count,
            index,
            initialization_timeout=limit + 60,
            heartbeat_timeout_seconds=3 * _seconds(*_SILENCE),
        )
    except ValueError as error:
        raise UserError(
            f"--distributed found no cluster ({error}): set JAX_COORDINATOR_ADDRESS (host:port of "
            "the first process), JAX_NUM_PROCESSES and JAX_PROCESS_ID in every process"
        ) from None
    finally:
        for timer in timers:
            timer.cancel()


def _say_that_we_wait(limit: int) -> None:
    state = distributed.global_state
    os.write(
        2,
        f"bertjax: process {state.process_id} ({socket.gethostname()}) waits for the others at "
        f"{state.coordinator_address}, {limit} s at most\n".encode(),
    )


def _give_up_joining(limit: int) -> NoReturn:
    state = distributed.global_state
    os.write(
        2,
        f"bertjax: process {state.process_id} ({socket.gethostname()}) waited {limit} s "
        f"({_BARRIER[0]}) at {state.coordinator_address} and not all processes came: look at those "
        "that do not print this line\n".encode(),
    )
    os._exit(EXIT_LOST_PROCESS)


def _client() -> Any | None:
    """The client of the coordination service; None with one process."""
    return distributed.global_state.client if _count() > 1 else None


def _count() -> int:
    return distributed.global_state.num_processes or 1


def _named(error: jax.errors.JaxRuntimeError) -> Exception:
    """A barrier's time-out, Orbax's included, as a UserError that names who is missing."""
    found = _TIMED_OUT.search(str(error))
    if not found:
        return error
    missing = sorted(int(n) for n in re.findall(r"(\d+)$", found["missing"], re.M))
    return UserError(
        f"barrier '{found['name']}': {', '.join(map(process, missing))} did "
        f"not come within {_seconds(*_BARRIER)} s: look at what it does, or raise {_BARRIER[0]}",
        EXIT_LOST_PROCESS,
    )


def _is_broken_collective(error: BaseException) -> bool:
    return isinstance(error, jax.errors.JaxRuntimeError) or "Gloo" in str(error)


def _seconds(variable: str, default: int) -> int:
    text = os.environ.get(variable, str(default))
    if not text.isdecimal() or int(text) == 0:
        raise UserError(f"{variable}={text}: give whole seconds above 0, such as {default}")
    return int(text)


def _integer(variable: str) -> int | None:
    text = os.environ.get(variable, "")
    return int(text) if text.isdecimal() else None
