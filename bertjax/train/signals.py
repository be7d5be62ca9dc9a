"""SIGTERM, SIGINT and SIGUSR1 as a request that the training loop reads between steps."""

from __future__ import annotations

import os
import signal
from types import FrameType, TracebackType

from bertjax.cluster import gather
from bertjax.errors import EXIT_INTERRUPTED, EXIT_PREEMPTED, EXIT_REQUESTED

EXIT_CODES = {
    signal.SIGTERM: EXIT_PREEMPTED,
    signal.SIGINT: EXIT_INTERRUPTED,
    signal.SIGUSR1: EXIT_REQUESTED,
}
_NOTICE = b"\nstopping after this step, with a checkpoint; Ctrl-C again stops at once\n"


class StopSignals:
    """A context in which those signals ask for a checkpoint and an end, in the main thread.

    The first signal counts; the run is to leave with `EXIT_CODES[signal]`. A second SIGINT raises
    KeyboardInterrupt wherever the program is. The handlers there were come back at the end.
    """

    def __init__(self) -> None:
        self.requested: signal.Signals | None = None  # by a signal to this process
        self._interrupted = False
        self._previous: dict[signal.Signals, object] = {}

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

    def agreed(self) -> signal.Signals | None:
        """The request of any process, the same answer in all of them.

        With several processes this is a meeting of all: call it at the same steps everywhere, and
        not at each. With one process it is `requested`.
        """
        requests = gather("request to stop", str(int(self.requested or 0)))
        received = [signal.Signals(int(n)) for n in requests if n != "0"]
        return received[0] if received else None

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self._interrupted:
            raise KeyboardInterrupt
        if number == signal.SIGINT:
            self._interrupted = True
            os.write(2, _NOTICE)  # print may be what the signal interrupted
        if self.requested is None:
            self.requested = signal.Signals(number)
