"""SIGTERM, SIGINT and SIGUSR1 as a request that training reads between steps, and exit codes."""

from __future__ import annotations

import os
import signal
from types import FrameType, TracebackType

from bertjax.errors import EXIT_INTERRUPTED, EXIT_PREEMPTED, EXIT_REQUESTED

EXIT_CODES = {
    signal.SIGTERM: EXIT_PREEMPTED,
    signal.SIGINT: EXIT_INTERRUPTED,
    signal.SIGUSR1: EXIT_REQUESTED,
}
_NOTICE = b"\nstopping after this step, with a checkpoint; Ctrl-C again stops at once\n"


class StopSignals:
    """A context in which those signals ask for a checkpoint and an end, in the main thread.

    The first signal counts. A second SIGINT raises KeyboardInterrupt wherever the program is. The
    handlers there were come back at the end.
    """

    def __init__(self) -> None:
        self.requested: signal.Signals | None = None
        self._interrupted = False
        self._previous: dict[signal.Signals, object] = {}

    def asked(self) -> str | None:
        """The name of the signal that came, such as SIGTERM; None before any."""
        return None if self.requested is None else self.requested.name

    @staticmethod
    def exit_code(stopped: str | None) -> int:
        """The exit code of a run that ended for the reason `asked` gave, here or elsewhere."""
        return 0 if stopped is None else EXIT_CODES[signal.Signals[stopped]]

    def __enter__(self) -> StopSignals:
        for number in EXIT_CODES:
            self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._previous.items():
            # None stands for a handler that was not set from Python and cannot be set again.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)  # type: ignore[arg-type]
        self._previous.clear()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self._interrupted:
            raise KeyboardInterrupt
        if number == signal.SIGINT:
            self._interrupted = True
            os.write(2, _NOTICE)  # print may be what the signal interrupted
        if self.requested is None:
            self.requested = signal.Signals(number)
