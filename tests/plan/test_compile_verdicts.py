"""What is made of the compiler's answers; messages as libtpu 0.0.42 and its like gave them."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest
from tiny_model import RUN

from bertjax.errors import UserError
from bertjax.plan.compile import TooLarge, _verdict, compile_step
from bertjax.plan.placement import ArgumentBytes
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


@pytest.mark.parametrize("topology", ["h100:1", "v5e:1x1"])
def test_what_a_gpu_has_no_room_for_is_found_by_adding_up(monkeypatch, topology):
    """XLA compiles it all the same; libtpu does not, and its sum is more than it lays out."""
    chip = parse_topology(topology).chip
    stats = {"argument": 1, "output": 3, "alias": 2, "temp": int(chip.memory), "generated_code": 0}
    sizes = SimpleNamespace(**{f"{name}_size_in_bytes": size for name, size in stats.items()})
    step = SimpleNamespace(memory_analysis=lambda: sizes, as_text=lambda: "")
    for program in ("executable", "evaluation_executable"):
        monkeypatch.setattr(f"bertjax.plan.compile.{program}", lambda *_: step)
    monkeypatch.setattr("bertjax.plan.compile.argument_bytes", lambda *_: ArgumentBytes(0, 0, 0))
    monkeypatch.setattr("bertjax.plan.compile._mesh", lambda *_: None)
    found = compile_step(RUN, parse_topology(topology), RUN.data.phases[0])
    if topology == "h100:1":
        assert found == TooLarge(int(chip.memory) + 2, chip.memory)
    else:
        assert not isinstance(found, TooLarge) and found.memory.total == int(chip.memory) + 2
