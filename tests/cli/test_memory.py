"""What a training process frees stays with it; how much of a GPU it takes."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bertjax.cli.main import main
from bertjax.cli.memory import take_gpu_memory
from bertjax.errors import EXIT_BAD_INPUT

PROGRAM = """
import sys
from bertjax.cli.memory import keep_freed_memory

if sys.argv[1] == "keep":
    keep_freed_memory()
import numpy as np

def resident():
    fields = open("/proc/self/statm").read().split()
    return int(fields[1]) * 4096

before = resident()
block = np.ones(2**27, np.uint8)  # some of which may lie where freed memory was
held = resident() - before
del block
print(held >= 2**26, resident() - before >= 2**26)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc is told")
@pytest.mark.parametrize(("how", "kept"), [("keep", True), ("leave", False)])
def test_freed_memory_is_kept_only_when_asked(how, kept):
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == ["True", str(kept)]


NAMES = [
    "XLA_CLIENT_MEM_FRACTION", "XLA_PYTHON_CLIENT_MEM_FRACTION", "XLA_PYTHON_CLIENT_PREALLOCATE"
]  # fmt: skip


@pytest.mark.parametrize(
    ("given", "alone", "expected"),
    [
        ({}, True, ["0.9", None, None]),
        ({}, False, ["0.9", None, "false"]),
        ({NAMES[0]: "0.5"}, True, ["0.5", None, None]),
        ({NAMES[1]: "0.5"}, True, [None, "0.5", None]),  # both together JAX refuses
        ({NAMES[2]: "true"}, False, ["0.9", None, "true"]),
    ],
)
def test_the_share_of_a_gpu_is_nine_tenths_unless_the_environment_says_otherwise(
    given, alone, expected, monkeypatch
):
    environment = dict(given)
    monkeypatch.setattr("os.environ", environment)
    take_gpu_memory(alone)
    assert [environment.get(name) for name in NAMES] == expected


@pytest.mark.parametrize("verb", ["pretrain", "finetune", "evaluate", "predict", "probe", "bench"])
def test_whatever_runs_a_model_keeps_memory(verb, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr("bertjax.cli.main.keep_freed_memory", lambda: asked.append(verb))
    assert main([verb, "--nonsense"]) == EXIT_BAD_INPUT
    assert asked == [verb] and "--nonsense" in capsys.readouterr().err
