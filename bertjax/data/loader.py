"""Making batches ahead of the training step, with Grain.

Grain does the workers, the prefetching and the order; its iterator state is not used, because it
depends on the number of workers, whereas `BatchSource.batch` needs an index only.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from functools import partial
from types import TracebackType

import grain
import numpy as np
from absl import flags

from bertjax.data.assemble import Batch
from bertjax.data.batches import EVERY_ROW, Batches
from bertjax.errors import UserError


def load_batches(
    source: Batches,
    start: int,
    stop: int,
    workers: int = 0,
    prefetch: int = 2,
    rows: slice = EVERY_ROW,
) -> BatchStream:
    """Iterate over the batches `start` .. `stop` - 1 of a phase, in order.

    `workers` processes make them, or one thread of this process where 0; each keeps `prefetch`
    batches ready. `rows` is this process's share of every batch. The batches do not depend on
    `workers` or `prefetch`. Close the stream, or use it in a `with` statement, to end the workers.
    """
    # Grain reads absl flags in the parent of its workers, which fails in any program that did not
    # parse them (google/grain#1355).
    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()
    dataset = (
        grain.MapDataset.range(start, stop)
        .map(partial(_batch, source, rows))
        .to_iter_dataset(
            grain.ReadOptions(num_threads=0 if workers else 1, prefetch_buffer_size=prefetch)
        )
    )
    if workers:
        options = grain.MultiprocessingOptions(workers, per_worker_buffer_size=prefetch)
        dataset = dataset.mp_prefetch(options, worker_init_fn=_start_worker)
    return BatchStream(iter(dataset), start)


class BatchStream:
    """Iterator over batches that owns the processes or the thread that make them."""

    def __init__(self, batches: grain.DatasetIterator, start: int):
        self._batches: Iterator[Batch] = batches
        self._next = start

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        """Return the next batch; UserError if the worker that made it died."""
        try:
            batch = next(self._batches)
        except RuntimeError as error:
            self.close()
            # Grain has no type of its own for this.
            if "terminated unexpectedly" not in str(error):
                raise
            code = str(error).partition("exit code ")[2].partition(".")[0]
            died = f"a data worker died (exit code {code}) before batch {self._next} was ready"
            if code == "1":  # of an exception, which it printed
                raise UserError(
                    f"{died}: what it said stands above; each worker imports the script that "
                    "started it, so one that calls bertjax must do so below `if __name__ == "
                    '"__main__":`, or set data.workers=0'
                ) from error
            raise UserError(
                f"{died}: the machine may be out of memory; start again with fewer data.workers "
                "(0 works too)"
            ) from error
        self._next += 1
        # A worker's arrays lie in shared memory whose clean-up Grain ties to their life.
        return {name: a if type(a) is np.ndarray else np.array(a) for name, a in batch.items()}

    def close(self) -> None:
        """End the workers and the stream; may be called again."""
        batches, self._batches = self._batches, iter(())
        if isinstance(batches, grain.DatasetIterator):
            batches.close()

    def __enter__(self) -> BatchStream:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _batch(source: Batches, rows: slice, index: int) -> Batch:
    return source.batch(index, rows)


def _start_worker(index: int, count: int) -> None:
    """Tie a worker's life to the training process alone.

    Signals sent to the whole process group (Ctrl-C, a scheduler's warning) are for the training
    process, which saves first and still needs its batches. And a training process that is killed
    cannot close its workers, so each waits for that. (PR_SET_PDEATHSIG would not do: it fires when
    the thread that started the worker ends, and Grain starts workers from short-lived threads.)
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None, "Grain's workers are children of multiprocessing"
    parent.join()
    os._exit(1)
