"""The guide's commands, run as they stand for a small model."""

from __future__ import annotations

import importlib.util
import re
import subprocess

import pytest
from documented import GUIDES, ROOT, SMALL_MODEL, SMALL_PHASE, commands, walk

from bertjax.plan import gpu

GUIDE = GUIDES / "accelerators.md"
BENCH, *PLANS = commands(GUIDE)
SMALL = [*SMALL_MODEL, SMALL_PHASE]


@pytest.mark.slow
def test_the_bench_that_the_guide_shows_runs(capfd):
    pytest.importorskip("transformers", reason="no transformers here (extra: oracle)")
    walk([BENCH], {"bench": [*SMALL, "--steps", "8"]})
    assert "transformers" in capfd.readouterr().out


@pytest.mark.extra
@pytest.mark.parametrize("command", PLANS)
def test_a_plan_that_the_guide_shows_is_made(command, capfd, monkeypatch):
    for_tpu = "v5e" in command
    if not (importlib.util.find_spec("libtpu") if for_tpu else gpu.can_compile()):
        pytest.skip("its compiler is not here (extras: tpu, cuda)")
    monkeypatch.setattr("bertjax.plan.phases._MOST_ROWS", 32)  # many more of so small a model fit
    more = [] if for_tpu else ["train.attention=reference"]  # as cuDNN may not be here
    walk([command], {"plan": [*SMALL, "data.phases.0.batch_size=16", *more]})
    assert "GiB a chip" in capfd.readouterr().out


def test_the_launcher_that_the_guide_shows_runs():
    (line,) = re.findall(r"^ {4}(scripts/launch/.*)", GUIDE.read_text(encoding="utf-8"), re.M)
    done = subprocess.run(line.split(), cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and "bertjax pretrain --config bert_base" in done.stdout
