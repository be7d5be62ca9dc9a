"""What is made of the compiler's answers; messages as libtpu 0.0.42 and its like gave them."""

from __future__ import annotations

import re

import pytest

from bertjax.errors import UserError
from bertjax.plan.compile import TooLarge, _verdict
from bertjax.plan.topology import parse_topology

V5E = parse_topology("v5e:2x2")
GiB = 2**30


@pytest.mark.parametrize(
    ("message", "needed", "available"),
    [
        (
            "RESOURCE_EXHAUSTED: Ran out of memory on HBM, the total memory required for HLO "
            "temporaries (16.66G) exceeds available HBM (15.75G).",
            16.66 * GiB,
            15.75 * GiB,
        ),
        (
            "RESOURCE_EXHAUSTED: XLA:TPU compile permanent error. Ran out of memory in memory "
            "space hbm. Used 1020.50M of 512.25M hbm. Exceeded hbm capacity by 508.25M.",
            1020.5 * 2**20,
            512.25 * 2**20,
        ),
    ],
)
def test_running_out_of_memory_is_an_answer(message, needed, available):
    assert _verdict(message, V5E) == TooLarge(needed, available)


@pytest.mark.parametrize(
    "message",
    [
        "INTERNAL: Mosaic failed to compile TPU kernel: unsupported shape\nat kernel.py:1",
        "RESOURCE_EXHAUSTED: Ran out of memory in memory space vmem while allocating on stack.",
    ],
)
def test_any_other_failure_is_told_in_one_line(message):
    with pytest.raises(UserError, match=re.escape(message.splitlines()[0])) as error:
        _verdict(message, V5E)
    assert "\n" not in str(error.value)
