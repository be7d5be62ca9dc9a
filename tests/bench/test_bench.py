"""`bertjax bench`: the figures it gives hang together, and what it cannot measure it refuses."""

from __future__ import annotations

import importlib.util
import json

import jax
import numpy as np
import pytest

from bertjax import flops
from bertjax.bench.corpus import RANDOM_TOKENS, SENTENCE_LENGTH, random_corpus
from bertjax.cli.main import main
from bertjax.config import DataConfig, MaskingConfig, ModelConfig, Phase, PretrainConfig
from bertjax.data.batches import BatchSource
from bertjax.errors import EXIT_BAD_INPUT
from bertjax.objectives.choice import objective_of

MODEL = ModelConfig(
    vocab_size=500,
    hidden_size=32,
    num_layers=1,
    num_heads=2,
    intermediate_size=64,
    max_positions=32,
)
RECIPE = f"""
from bertjax.config import *


def get_config():
    return PretrainConfig(model={MODEL!r}, data=DataConfig(phases=(Phase(32, 8),)))
"""


needs_transformers = pytest.mark.skipif(
    not importlib.util.find_spec("transformers"), reason="no transformers here (extra: oracle)"
)


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "tiny.py"
    path.write_text(RECIPE)
    return path


def bench(recipe, *options: str) -> int:
    return main(["bench", "--config", str(recipe), "--steps", "8", *options])


def work_of_steps(masking: MaskingConfig, count: int) -> float:
    """Model FLOPs of a step, the mean of those that `bench` times: the first batch is not."""
    cfg = PretrainConfig(MODEL, DataConfig(phases=(Phase(32, 8),)), masking)
    corpus = random_corpus(500, RANDOM_TOKENS, document_length=1000)
    source, work = BatchSource(corpus, cfg.data, 0, cfg.seed), []
    masked = jax.jit(objective_of(cfg, corpus.special).corrupt)
    for step in range(1, count + 1):
        batch = jax.device_get(masked(source.batch(step), cfg.seed))
        lengths, predicted = (batch["segments"] != 0).sum(1), batch["predict_weights"].sum()
        assert predicted < 0.9 * masking.rate * lengths.sum()
        work.append(flops.training_flops((MODEL,), lengths.sum(), (lengths**2).sum(), predicted))
    return float(np.mean(work))


def test_the_report_hangs_together(recipe, tmp_path, capfd):
    """With a masking that predicts fewer tokens than its rate: drawn twice, they count once."""
    masking = MaskingConfig(rate=0.4, with_replacement=True)
    options = ("masking.rate=0.4", "masking.with_replacement=true")
    assert bench(recipe, "--json", str(tmp_path / "bench.json"), *options) == 0
    report = json.loads((tmp_path / "bench.json").read_text())
    step, share = report["step_seconds"], report["real_tokens_share"]
    assert 0.8 < share <= 1.0
    assert report["tokens_per_second"] == pytest.approx(8 * 32 * share / step, rel=1e-6)
    work = report["model_flops_per_second"] * step
    assert work == pytest.approx(work_of_steps(masking, 8), rel=1e-6)
    # Full rows would need this much; padding takes away from it.
    most = flops.training_flops((MODEL,), 8 * 32, 8 * 32 * 32, 0.4 * 8 * 32)
    assert 0.7 * most < work < most
    rate = report["matmul_flops_per_second"]
    assert report["utilisation_of_matmul"] == pytest.approx(
        report["model_flops_per_second"] / rate, rel=1e-6
    )
    parts = report["parts_seconds"]
    assert set(parts) == {"forward", "backward", "optimizer", "input wait"}
    assert min(parts["forward"], parts["backward"]) > 0
    assert len(report["step_seconds_of_rounds"]) == 4
    assert report["config"]["model"]["vocab_size"] == 500
    assert report["peak_bytes"] > 0 and report["compile_seconds"] > 0
    assert report["attention"].startswith("reference")
    said = capfd.readouterr().out
    assert "real tokens/s" in said and "of the matmul rate here" in said
    assert "text        random, vocabulary 500\n" in said


@pytest.mark.slow
@needs_transformers
@pytest.mark.parametrize(
    "options",
    [
        ("--trace", "TRACE"),
        ("model.norm=pre", "data.format=segment_pair+nsp_rows", "model.family=roberta"),
        ("model.family=albert", "model.embedding_size=16", "model.layer_groups=1"),
    ],
    ids=["bert", "roberta", "albert"],
)
def test_transformers_sees_the_same_batches(recipe, tmp_path, options):
    written = ("--compare", "transformers", "--json", str(tmp_path / "b.json"))
    options = [str(tmp_path) if option == "TRACE" else option for option in options]
    assert bench(recipe, *written, *options) == 0
    report = json.loads((tmp_path / "b.json").read_text())
    theirs = report["transformers_tokens_per_second"]
    assert report["transformers_settings"].endswith("CPU threads")
    assert len(report["step_seconds_of_rounds"]) == 4  # and not that of a trace
    assert report["ratio"] == pytest.approx(report["tokens_per_second"] / theirs, rel=1e-6)


@needs_transformers
def test_packed_rows_are_not_compared_with_a_side_that_cannot_part_them(recipe, capfd):
    options = ("--compare", "transformers", "data.max_packed=2")
    assert bench(recipe, *options) == EXIT_BAD_INPUT
    assert "compare with data.max_packed=1" in capfd.readouterr().err


@needs_transformers
def test_memory_that_pytorch_lacks_is_said_in_one_line(recipe, monkeypatch, capfd):
    import torch

    def forward(self, **inputs):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("transformers.BertForPreTraining.forward", forward)
    assert bench(recipe, "--compare", "transformers") == EXIT_BAD_INPUT
    said = capfd.readouterr().err
    assert "at 8 rows of 32" in said and "lower data.phases.0.batch_size" in said


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--steps", "3"], "--steps 3"),
        (["--json", "nowhere/bench.json"], "make it first"),
        (["--phase", "1"], "--phase 1"),
        (["--document-length", "0"], "--document-length 0"),
        (["model.vocab_size=5"], "model.vocab_size=5"),
        (["train.attention=cudnn"], "train.attention=reference"),
        (["--compare", "tensorflow"], "tensorflow"),
        pytest.param(
            ["--compare", "transformers", "model.attention=causal", "data.format=full_sentences"],
            "train masked LM alone",
            marks=needs_transformers,
        ),
    ],
)
def test_what_cannot_be_measured_is_refused(recipe, options, words, capfd):
    assert bench(recipe, *options) == EXIT_BAD_INPUT
    assert words in capfd.readouterr().err


def test_random_text_has_the_shape_asked_for():
    corpus = random_corpus(500, 50_000, document_length=132)
    assert (np.diff(corpus.document_starts) == 132).all()
    sentences = np.diff(corpus.sentence_starts).reshape(-1, 6)
    assert (sentences == [*5 * [SENTENCE_LENGTH], 12]).all()
    assert corpus.tokens.min() >= 5 and corpus.tokens.max() < 500
    source = BatchSource(corpus, DataConfig(phases=(Phase(32, 8),)), 0, seed=0)
    assert (source.batch(0)["segments"] != 0).any()
