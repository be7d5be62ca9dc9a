"""Making batches ahead of the training step, in a thread or in processes of their own.

`Batches.batch` needs an index only, so worker i of n makes every n-th batch from the i-th on, and
there is no state of a worker to save.
"""

from __future__ import annotations

import atexit
import multiprocessing
import signal
import threading
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import cycle, islice
from multiprocessing.connection import Connection
from multiprocessing.resource_tracker import ensure_running
from queue import Queue
from types import TracebackType

from bertjax.data.assemble import Batch
from bertjax.data.batches import EVERY_ROW, Batches, Rows
from bertjax.errors import UserError

_PROCESSES = multiprocessing.get_context("spawn")  # a fork copies the locks of JAX's threads
# Terminals and schedulers send these to all processes of a run. The training process saves first,
# for which it still needs its batches.
_FOR_THE_PARENT = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


def load_batches(
    source: Batches,
    start: int,
    stop: int,
    workers: int = 0,
    prefetch: int = 2,
    rows: Rows = EVERY_ROW,
) -> BatchStream:
    """Iterate over the batches `start` .. `stop` - 1 of a phase, in order.

    `workers` processes make them, or one thread of this process where 0; each keeps `prefetch`
    batches ready, and small ones that a pipe has room for. `rows` is this process's share of every
    batch. The batches do not depend on `workers` or `prefetch`. Close the stream, or use it in a
    `with` statement, to end the workers.
    """
    make, indices = partial(source.batch, rows=rows), range(start, stop)
    processes = [_Worker(make, indices[first::workers], prefetch) for first in range(workers)]
    return BatchStream(make, indices, prefetch, processes)


class BatchStream:
    """Iterator over batches that owns the processes and the thread that make them."""

    def __init__(
        self,
        make: Callable[[int], Batch],
        indices: Sequence[int],
        prefetch: int,
        workers: Sequence[_Worker],
    ):
        """`make` makes a batch where there are no `workers`, who have it and take turns."""
        turns: list[Callable[[int], Batch]] = [worker.receive for worker in workers]
        self._todo = zip(cycle(turns or [make]), indices, strict=False)
        self._workers = workers
        self._thread = ThreadPoolExecutor(1, "batches")
        self._ahead: deque[Future[Batch]] = deque()
        self._ask(prefetch)

    def _ask(self, count: int) -> None:
        for work, index in islice(self._todo, count):
            self._ahead.append(self._thread.submit(work, index))

    def __iter__(self) -> BatchStream:
        return self

    def __next__(self) -> Batch:
        """Return the next batch; UserError if the worker that made it died."""
        if not self._ahead:
            raise StopIteration
        try:
            batch = self._ahead.popleft().result()
        except Exception:
            self.close()
            raise
        self._ask(1)
        return batch

    def close(self) -> None:
        """End the workers and the stream; may be called again."""
        for worker in self._workers:
            worker.end()
        self._thread.shutdown(cancel_futures=True)
        self._ahead.clear()

    def __enter__(self) -> BatchStream:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class _Worker:
    """A process that makes the batches of `indices`, one after another."""

    def __init__(self, make: Callable[[int], Batch], indices: Sequence[int], prefetch: int):
        self._received, sent = _PROCESSES.Pipe(duplex=False)
        self._process = _PROCESSES.Process(target=_work, args=(make, indices, prefetch, sent))
        ensure_running()  # it unblocks signals when it starts its own process
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _FOR_THE_PARENT)
        try:
            self._process.start()  # which inherits what is blocked
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        sent.close()  # so that the worker's end is the only one, and the pipe ends with the worker
        atexit.register(self.end)  # or `multiprocessing` would wait for it at exit

    def receive(self, index: int) -> Batch:
        """Return its next batch, which is `index`; UserError if it died before that."""
        try:
            made = self._received.recv()
        except (EOFError, OSError) as error:
            raise self._died(index) from error
        if isinstance(made, Exception):
            raise made
        return made

    def _died(self, index: int) -> UserError:
        self._process.join()
        code = self._process.exitcode
        died = f"a data worker died (exit code {code}) before batch {index} was ready"
        if code == 1:  # of an exception, which it printed
            return UserError(
                f"{died}: what it said stands above; each worker imports the script that "
                "started it, so one that calls bertjax must do so below `if __name__ == "
                '"__main__":`, or set data.workers=0'
            )
        return UserError(
            f"{died}: the machine may be out of memory; start again with fewer data.workers "
            "(0 works too)"
        )

    def end(self) -> None:
        """Kill it, wherever it is: there is nothing that it would lose."""
        atexit.unregister(self.end)
        self._process.kill()
        self._process.join()


def _work(
    make: Callable[[int], Batch], indices: Sequence[int], prefetch: int, sending: Connection
) -> None:
    """Send batches until all are sent, or nobody is there to receive them."""
    ready: Queue[Batch | Exception] = Queue(prefetch)

    def make_all() -> None:
        for index in indices:
            try:
                ready.put(make(index))
            except Exception as error:
                error.add_note("".join(traceback.format_exception(error)))
                ready.put(error)
                return

    threading.Thread(target=make_all, daemon=True).start()
    try:
        for _ in indices:
            sending.send(ready.get())
    except BrokenPipeError:
        pass  # the training process has ended
