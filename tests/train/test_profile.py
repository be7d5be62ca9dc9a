"""`--profile` writes a trace of exactly the steps that it names, and changes nothing else."""

from __future__ import annotations

import jax
import pytest
import tiny_run

from bertjax.errors import EXIT_BAD_INPUT


def test_the_steps_asked_for_are_traced_and_the_run_is_the_same(unbroken, recipe, corpus, tmp_path):
    run = tmp_path / "run"
    argv = tiny_run.pretrain_argv(run, recipe, corpus, "--profile", "10:14")
    tiny_run.finish(tiny_run.start(argv))
    (trace,) = (run / "profile").rglob("*.xplane.pb")
    # All is read while `profile` lives: what it gives out points into it.
    profile = jax.profiler.ProfileData.from_file(str(trace))
    traced = [
        dict(event.stats)["step_num"]
        for plane in profile.planes
        for line in plane.lines
        for event in line.events
        if event.name == "train"
    ]
    assert sorted(traced) == [10, 11, 12, 13]
    tiny_run.assert_same_bits(tiny_run.state(run), tiny_run.state(unbroken))


@pytest.mark.parametrize("steps", ["10", "5:5", "7:3", "a:b", "-1:3", "100:200"])
def test_steps_that_cannot_be_traced_are_refused(steps, recipe, corpus, tmp_path):
    argv = tiny_run.pretrain_argv(tmp_path / "run", recipe, corpus, f"--profile={steps}")
    said = tiny_run.finish(tiny_run.start(argv), EXIT_BAD_INPUT)
    assert "--profile" in said and not (tmp_path / "run").exists()
