"""How a process that trains holds the memory of its machine, and of its GPUs."""

from __future__ import annotations

import ctypes
import os
import sys

_ARENA_MAX, _MMAP_MAX, _TRIM_THRESHOLD = -8, -4, -1  # malloc.h of glibc


def keep_freed_memory() -> None:
    """Have glibc keep what is freed, in one heap, instead of giving it back to the system.

    On a CPU, XLA allocates and frees a step's gradients and activations at every step. Left to
    itself, glibc maps and unmaps them, and the kernel zeroes each page again: a third to half of
    the time of a small model's step (docs/LOG.md, 2026-11-21). Must come before other threads
    allocate; does nothing with another C library.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for option, value in ((_ARENA_MAX, 1), (_MMAP_MAX, 0), (_TRIM_THRESHOLD, -1)):
            mallopt(option, value)


def take_gpu_memory(alone: bool) -> None:
    """Let XLA have as much of each GPU as `bertjax plan` counts on; JAX's default is 75 %.

    Not `alone`, memory is taken as it is needed, so that another framework can run beside. What
    the environment says already counts. Must come before JAX looks for devices.
    """
    from bertjax.plan.topology import GPU_SHARE

    if "XLA_PYTHON_CLIENT_MEM_FRACTION" not in os.environ:  # the older name; both are refused
        os.environ.setdefault("XLA_CLIENT_MEM_FRACTION", str(GPU_SHARE))
    if not alone:
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
