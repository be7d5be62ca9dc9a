"""What a training process frees stays with it, so that the kernel need not zero it again."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import sys
from bertjax.cli.host_memory import keep_freed_memory

if sys.argv[1] == "keep":
    keep_freed_memory()
import numpy as np

def resident():
    fields = open("/proc/self/statm").read().split()
    return int(fields[1]) * 4096

before = resident()
block = np.ones(2**26, np.uint8)
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
