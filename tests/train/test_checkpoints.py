"""What is best is best among what compares."""

from __future__ import annotations

from math import nan

import jax
import tiny_model
from tiny_model import RUN

from bertjax.runs.directory import RunDirectory
from bertjax.train.checkpoints import Checkpoints
from bertjax.train.state import abstract_state, fresh_state


def test_a_longer_phase_is_not_judged_by_the_losses_of_a_shorter_one(tmp_path):
    """Longer rows are harder at first, and only there are the later positions trained."""
    mesh = tiny_model.mesh()
    with jax.set_mesh(mesh):
        run, state = RunDirectory(tmp_path), fresh_state(RUN, mesh)
        checkpoints = Checkpoints(run, keep=3)
        kept = []
        losses = [(0, nan), (0, 2.9), (0, 2.77), (1, nan), (1, 2.84), (1, 2.85)]
        for step, (phase, loss) in enumerate(losses, 1):
            checkpoints.keep_best(step, phase, state, loss, {})
            checkpoints.wait()
            kept += checkpoints.best.steps()
            checkpoints.save(step, state, {})
        assert kept == [2, 3, 3, 5, 5]  # and none after the first, which is not a number
        checkpoints.wait()
        again = Checkpoints(run, keep=3)
        again.restore(abstract_state(RUN, mesh))
        assert (again.best_phase, again.best_loss, again.saved_step) == (1, 2.84, 6)
