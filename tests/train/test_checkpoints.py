"""What is best is best among what compares."""

from __future__ import annotations

import re
from math import nan

import jax
import numpy as np
import pytest
import tiny_model
from safetensors.numpy import load_file
from tiny_model import RUN

from bertjax.cli.main import main
from bertjax.model import init
from bertjax.pretrained import open_pretrained, run_config
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


@pytest.mark.slow
def test_an_export_of_two_phases_has_the_positions_of_the_longer_rows(unbroken, tmp_path, capsys):
    """The first phase has rows of 16 tokens, the second of 32."""
    assert main(["export", str(unbroken), "--out", str(tmp_path / "hf")]) == 0
    step = int(re.search(r"step (\d+)", capsys.readouterr().out)[1])
    assert step > run_config(unbroken).train.steps // 2
    name = "bert.embeddings.position_embeddings.weight"
    trained = load_file(tmp_path / "hf" / "model.safetensors")[name]
    cfg = open_pretrained(unbroken).cfg
    params = jax.jit(init, static_argnums=0)(cfg, jax.random.key(run_config(unbroken).seed))
    untrained = np.asarray(params["embeddings"]["position_embeddings"]["embedding"])
    moved = np.abs(trained - untrained).max(axis=1)
    assert moved[16:].min() > 1e-3
