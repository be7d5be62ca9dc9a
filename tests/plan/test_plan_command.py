"""`bertjax plan` from the command line: what it prints and writes, and what it refuses."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import pytest

from bertjax.cli import main as cli
from bertjax.errors import EXIT_BAD_INPUT
from bertjax.plan import gpu

RECIPE = """
from bertjax.config import *


def get_config():
    return PretrainConfig(
        model=ModelConfig(
            vocab_size=1000, hidden_size=128, num_layers=1, num_heads=4, intermediate_size=256,
            max_positions=128, hidden_dropout=0.0, attention_dropout=0.0,
        ),
        data=DataConfig(phases=(Phase(seq_len=128, batch_size=16),)),
    )
"""


@pytest.fixture
def needs_libtpu() -> None:
    if importlib.util.find_spec("libtpu") is None:
        pytest.skip("no libtpu here (extra: tpu)")


@pytest.fixture(scope="session")
def recipe(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("plan") / "tiny.py"
    path.write_text(RECIPE)
    return path


def plan(recipe: Path, *options: object) -> int:
    return cli.main(["plan", "--config", str(recipe), *map(str, options)])


@pytest.fixture
def refuse(recipe, capfd):
    def run(*options: object) -> str:
        assert plan(recipe, *options) == EXIT_BAD_INPUT
        said = capfd.readouterr().err.splitlines()
        assert [line for line in said if not line.startswith("compiling ")] == said[-1:]
        assert said[-1].startswith("bertjax: ")
        return said[-1]

    return run


@pytest.fixture
def no_cuda_plugin(monkeypatch) -> None:
    monkeypatch.setattr("bertjax.plan.gpu.can_compile", lambda: False)


def test_gpus_are_planned_without_a_compiler_too(recipe, tmp_path, capfd, no_cuda_plugin):
    assert plan(recipe, "--topology", "h200:8", "--json", tmp_path / "plan.json") == 0
    said = capfd.readouterr().out
    assert "8 × NVIDIA H200" in said and "not a measurement" in said
    written = json.loads((tmp_path / "plan.json").read_text())
    phase = written["phases"][0]
    assert written["chips"] == 8 and "memory" not in phase
    assert phase["roofline"]["tokens"] == 16 * 128
    assert phase["collectives"]["all-reduce"]["bytes"] == phase["arguments"]["parameters"]


@pytest.mark.extra
@pytest.mark.parametrize("attention", ["reference", "triton"])
def test_a_gpu_host_is_compiled_for(recipe, tmp_path, capfd, attention):
    """A tiny step for two H100, Triton's kernel down to its machine code; no GPU is there."""
    if not gpu.can_compile():
        pytest.skip("no CUDA plugin of JAX here (extra: cuda)")
    options = [f"train.attention={attention}", "train.compute_dtype=bfloat16"]
    assert plan(recipe, "--topology", "h100:2", "--json", tmp_path / "plan.json", *options) == 0
    said = capfd.readouterr()
    assert said.err.endswith("compiling 16 rows of 128 for h100:2\n")
    assert "2 × NVIDIA H100" in said.out and "of 67.1 GiB a chip" in said.out
    assert "nothing compiled" not in said.out
    phase = json.loads((tmp_path / "plan.json").read_text())["phases"][0]
    held, memory = phase["arguments"], phase["memory"]
    # What no operation reads is not passed, and each array begins at a multiple of 256 bytes.
    assert memory["arguments"] == pytest.approx(sum(held.values()), rel=0.01)
    assert held["parameters"] + held["optimizer"] <= memory["aliased"] <= memory["outputs"]
    assert memory["temporaries"] > 0
    # Gradients of kernels are reduced in bfloat16; that of the tied table twice.
    moved = phase["collectives"]["all-reduce"]["bytes"]
    assert held["parameters"] / 2 < moved < held["parameters"] + 4 * 1024 * 128


def test_without_a_corpus_berts_vocabulary_is_assumed_and_said(recipe, capfd, no_cuda_plugin):
    assert plan(recipe, "--topology", "h200:1", "model.vocab_size=0") == 0
    said = capfd.readouterr()
    assert (
        said.err == "no data.corpus or model.vocab_size: 30,522 pieces, as BERT has, are assumed\n"
    )
    assert "activations are not counted" in said.out


@pytest.mark.extra
def test_a_tpu_slice_is_compiled_for(recipe, tmp_path, capfd, needs_libtpu):
    """A tiny step for four chips of v5e, its attention by the splash kernel."""
    assert plan(recipe, "--topology", "v5e:2x2", "--json", tmp_path / "plan.json") == 0
    said = capfd.readouterr()
    assert said.err == "compiling 16 rows of 128 for v5e:2x2\n"
    assert "attention splash · the fastest here for padded rows\n" in said.out
    assert "4 × TPU v5 lite" in said.out and "of 15.8 GiB a chip" in said.out
    phase = json.loads((tmp_path / "plan.json").read_text())["phases"][0]
    held, memory = phase["arguments"], phase["memory"]
    # The compiler agrees on what a chip is given, but for the padding of small arrays to tiles,
    # and the whole state is donated.
    given = sum(held.values())
    assert given <= memory["arguments"] <= given + 64 * 1024
    assert held["parameters"] + held["optimizer"] <= memory["aliased"] <= memory["outputs"]
    assert memory["temporaries"] > 0 and memory["code"] > 0
    # Gradients are reduced once, those of the tied table twice: 1,024 rows of 128 floats.
    moved = phase["collectives"]["all-reduce"]["bytes"]
    assert moved == pytest.approx(held["parameters"] + 4 * 1024 * 128, rel=0.01)


@pytest.mark.extra
def test_what_does_not_fit_is_refused_with_what_it_needs(refuse, needs_libtpu):
    line = refuse(
        "--topology", "v5e:1x1", "data.phases.0.batch_size=1", "model.hidden_size=8192",
        "model.intermediate_size=32768", "model.num_layers=2", "model.num_heads=64",
    )  # fmt: skip
    assert re.search(r"1 rows of 128 need 2\d\.\d+ GiB or more of the 15\.75 GiB of each", line)
    assert line.endswith("not even 1 rows fit: raise train.mesh.fsdp or shorten the rows")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--topology", "v5e:3x3"], "choose from v5e:2x4, v5e:4x4"),
        (["--topology", "h200:8", "train.attention=splash"], "runs on tpu, not on gpu"),
        (["--topology", "h200:8", "--search"], "pip install 'bertjax[cuda]'"),
        (["--topology", "h200:8", "train.mesh.tensor=8"], "use train.mesh.tensor=4"),
        (["--topology", "h200:8", "data.phases.0.batch_size=12"], "use a multiple of 8"),
        (
            ["--topology", "h200:8", "model.vocab_size=0", "data.corpus=nowhere"],
            "data.corpus=nowhere is not here",
        ),
        (["--topology", "h200:8", "--json", "nowhere/plan.json"], "make it first"),
        (
            ["--topology", "h100:1", "model.hidden_size=32768", "model.intermediate_size=131072"],
            "raise train.mesh.fsdp",
        ),
    ],
)
def test_mistakes_are_refused_in_one_line(refuse, options, said, no_cuda_plugin):
    assert said in refuse(*options)


def test_without_libtpu_the_extra_is_named(refuse, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "libtpu" else found(name)
    )
    assert "pip install 'bertjax[tpu]'" in refuse("--topology", "v5e:2x2")
