"""`--profile` writes a trace of exactly the steps that it names, and changes nothing else."""

from __future__ import annotations

import gzip
import json

import jax
import pytest
import tiny_run

from bertjax.cli.main import main
from bertjax.errors import EXIT_BAD_INPUT


@pytest.mark.slow
def test_the_steps_asked_for_are_traced_and_the_run_is_the_same(unbroken, recipe, corpus, tmp_path):
    run = tmp_path / "run"
    argv = tiny_run.pretrain_argv(
        run, recipe, corpus, "--profile", "7:11"
    )  # nothing is compiled there
    tiny_run.finish(tiny_run.start(argv))
    (trace,) = (run / "profile").rglob("*.xplane.pb")
    profile = jax.profiler.ProfileData.from_file(str(trace))
    names = [e.name for plane in profile.planes for line in plane.lines for e in line.events]
    assert names.count("train") == 4
    # Which ones is read from the JSON, though it leaves out some of many events: in jax 0.12.0
    # ProfileData aborts on an event's statistics.
    (trace,) = (run / "profile").rglob("*.trace.json.gz")
    events = json.loads(gzip.decompress(trace.read_bytes()))["traceEvents"]
    traced = {int(event["args"]["step_num"]) for event in events if event.get("name") == "train"}
    assert min(traced) == 7 and traced <= {7, 8, 9, 10}  # four in a row, the first of them 7
    tiny_run.assert_same_bits(tiny_run.state(run), tiny_run.state(unbroken))


@pytest.mark.parametrize("steps", ["10", "5:5", "7:3", "a:b", "-1:3", "100:200"])
def test_steps_that_cannot_be_traced_are_refused(steps, recipe, corpus, tmp_path, capfd):
    argv = tiny_run.pretrain_argv(tmp_path / "run", recipe, corpus, f"--profile={steps}")
    assert main(argv) == EXIT_BAD_INPUT
    said = capfd.readouterr().err
    assert "--profile" in said and "Traceback" not in said and not (tmp_path / "run").exists()
