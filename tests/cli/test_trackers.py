"""What trackers are told of a run."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
from tiny_run import pretrain_argv

from bertjax.cli.main import main
from bertjax.errors import EXIT_BAD_INPUT


@pytest.mark.slow
def test_tensorboard_events(tmp_path, recipe, corpus):
    pytest.importorskip("tensorboardX")
    workdir = tmp_path / "run"
    options = ("train.tensorboard=true", "train.steps=2", "train.log_every=1")
    assert main(pretrain_argv(workdir, recipe, corpus, *options)) == 0
    (events,) = (workdir / "tensorboard").iterdir()
    content = events.read_bytes()
    for name in (b"train/masked_lm_loss", b"evaluation/masked_lm_accuracy"):
        assert name in content


@pytest.mark.slow
def test_trackio_is_called_as_it_wants_to_be(tmp_path, recipe, corpus, monkeypatch):
    """By the names of its own functions, which were tried with trackio 0.43."""
    begun, logged, ended = [], [], []
    run = SimpleNamespace(
        log=lambda values, step: logged.append((step, values)), finish=lambda: ended.append(True)
    )

    def init(project, name, *, config, resume, embed):
        begun.append((project, name, config["seed"], resume))
        return run

    monkeypatch.setitem(sys.modules, "trackio", SimpleNamespace(init=init))
    options = ("train.trackio=true", "train.steps=2", "train.log_every=1")
    for _ in range(2):
        assert main(pretrain_argv(tmp_path / "runs" / "one", recipe, corpus, *options)) == 0
    assert begun == [("runs", "one", 0, "allow")] * 2 and ended == [True] * 2
    kinds = {name.partition("/")[0] for _, values in logged for name in values}
    assert {"train", "evaluation"} <= kinds and min(step for step, _ in logged) <= 1
    assert all(isinstance(v, int | float) for _, values in logged for v in values.values())


@pytest.mark.parametrize(
    ("tracker", "module"), [("trackio", "trackio"), ("tensorboard", "tensorboardX")]
)
def test_trackers_without_their_extras(
    tracker, module, tmp_path, recipe, corpus, capfd, monkeypatch
):
    monkeypatch.setitem(sys.modules, module, None)
    argv = pretrain_argv(tmp_path / "run", recipe, corpus, f"train.{tracker}=true")
    assert main(argv) == EXIT_BAD_INPUT
    assert f"pip install 'bertjax[{tracker}]'" in capfd.readouterr().err.splitlines()[-1]
