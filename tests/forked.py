"""Processes of their own that need not import the package: they are forked from one that has.

Importing is most of what a tiny command takes. The server has imported and nothing more: no device
was looked for, no thread runs, so each process begins where a fresh one would after its imports.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from typing import Any

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(
    [f"bertjax.{name}" for name in ("train.loop", "finetuning.run", "cli.export", "cli.predict")]
)


class Forked:
    """What `subprocess.Popen` is, with a pipe for stderr, none for stdout, and its own session."""

    def __init__(
        self,
        work: Callable[..., object],
        *arguments: Any,
        environment: Mapping[str, str],
        file_limit: int | None = None,
    ) -> None:
        """`work(*arguments)`, whose result is an exit code; no file grows beyond `file_limit`."""
        received, said = _SERVER.Pipe(duplex=False)
        self._process = _SERVER.Process(
            target=_begin, args=(work, arguments, dict(environment), file_limit, said)
        )
        self._process.start()
        said.close()
        self.stderr = os.fdopen(os.dup(received.fileno()), encoding="utf-8", errors="replace")
        received.close()
        assert self._process.pid is not None
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired("a forked process", timeout or 0)
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[None, str]:
        """Nothing, and the rest of what it says; its session ends where that takes too long."""
        late = threading.Timer(
            timeout or threading.TIMEOUT_MAX, os.killpg, (self.pid, signal.SIGKILL)
        )
        late.daemon = True
        late.start()
        with self.stderr:
            said = self.stderr.read()
        self.wait()
        if not late.is_alive():
            raise subprocess.TimeoutExpired("a forked process", timeout or 0, stderr=said.encode())
        late.cancel()
        return None, said

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def __enter__(self) -> Forked:
        return self

    def __exit__(self, *_: object) -> None:
        self.stderr.close()
        self.wait()


def _begin(
    work: Callable[..., object],
    arguments: tuple[Any, ...],
    environment: dict[str, str],
    file_limit: int | None,
    said: Connection,
) -> None:
    os.setsid()
    with open(os.devnull, "wb") as nothing:
        os.dup2(nothing.fileno(), 1)
    os.dup2(said.fileno(), 2)
    said.close()
    # Python's own streams know what their files were.
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    if file_limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))
    _settle(environment)
    os.environ.clear()
    os.environ.update(environment)
    try:
        sys.exit(work(*arguments))
    finally:
        atexit._run_exitfuncs()  # which multiprocessing leaves out


def _settle(environment: dict[str, str]) -> None:
    """Have JAX, which was imported elsewhere, see this environment; XLA reads its own later."""
    import jax

    for name, value in environment.items():
        if name.startswith("JAX_") and value != os.environ.get(name):
            now = getattr(jax.config, name.lower(), None)
            if isinstance(now, bool):
                jax.config.update(name.lower(), value.lower() in ("1", "true"))
            elif hasattr(jax.config, name.lower()):
                jax.config.update(name.lower(), value if now is None else type(now)(value))
