"""Every verb takes every member of the family: a new one is a line here and in tests/family.py.

No program of a training step is compiled here: that is `tests/train/test_family.py`. Steps are
traced, and heads are trained on a frozen encoder.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from family import FAMILY

from bertjax import model
from bertjax.bench import ours
from bertjax.checkpoint import CheckpointStore
from bertjax.cli.main import main
from bertjax.config import DataConfig, ModelConfig, Phase, PretrainConfig, ReplacedTokensConfig
from bertjax.errors import EXIT_BAD_INPUT
from bertjax.overrides import to_json
from bertjax.runs.directory import open_run
from bertjax.runs.kinds import Kind
from bertjax.text.tokenizer import load_tokenizer
from bertjax.train.step import make_train_step

# Member -> what fill-mask says of its model. Two layers, or as many as two kinds of them need.
MEMBERS = {
    "albert": "token 3: ",
    "distilbert": "token 3: ",
    "electra": "detects replaced tokens and has no masked-LM head: give its generator",
    "ernie-tasks": "token 3: ",
    "eurobert": "token 3: ",
    "mobilebert": "token 3: ",
    "modernbert": "token 3: ",
    "openai-gpt": "a causal model, which says what comes next and not what stands at a mask",
    "roformer": "token 3: ",
}
CONFIG = """
from bertjax.config import *


def get_config():
    return FinetuneConfig(
        task=TaskConfig(name="tiny"),
        data=ExamplesConfig(text="review", label="stars", max_length=16),
        head=HeadConfig(pooling={pooling!r}),
        tune=TuneConfig(epochs=1, batch_size=16, layers=0, row_lengths=1),
    )
"""


def config(name: str) -> PretrainConfig:
    """A run of this member."""
    sizes = {"hidden_size": 24, "num_heads": 3, "intermediate_size": 32, "max_positions": 32}
    fields = {"vocab_size": 150, **sizes, **FAMILY[name], "num_layers": 2}
    paired = fields.pop("next_sentence_head", True)
    data = DataConfig(
        format="segment_pair+nsp" if paired else "doc_sentences", phases=(Phase(32, 8),)
    )
    pair = ReplacedTokensConfig(weight=50.0, generator_size=0.5 if name == "electra" else 0.25)
    pair = pair if name == "electra" else ReplacedTokensConfig()
    cfg = PretrainConfig(model=ModelConfig(**fields), data=data, replaced_tokens=pair)
    return cfg.with_trained_heads()


def drawn(cfg: ModelConfig) -> model.Params:
    draw = np.random.default_rng(0)
    return jax.tree.map(
        lambda like: draw.normal(0, 0.1, like.shape).astype(np.float32), model.abstract_params(cfg)
    )


@pytest.fixture(scope="module")
def reviews(tmp_path_factory) -> Path:
    path, draw = tmp_path_factory.mktemp("reviews") / "reviews.tsv", random.Random(0)
    words = [" ".join(draw.choices(["river", "city", "old"], k=4)) for _ in range(32)]
    lines = [f"The {text}.\t{i % 2}" for i, text in enumerate(words)]
    path.write_text("\n".join(["review\tstars", *lines]) + "\n")
    return path


def holding(name: str, corpus: Path, run: Path) -> Path:
    """A run that begins with random weights, as `bertjax import` makes one."""
    cfg, tokenizer = config(name), load_tokenizer(corpus / "tokenizer")
    with open_run(run, Kind.PRETRAINING) as directory:
        directory.describe(to_json(cfg), ["bertjax"])
        tokenizer.save(directory.tokenizer, cfg.model.max_positions)
        store = CheckpointStore(directory.initial, keep=1)
        store.save(0, {"params": drawn(cfg.model)}, {"tokenizer": tokenizer.fingerprint})
        store.wait()
    return run


def traced_only(cfg, mesh, objective, batch) -> Any:
    """In place of `compile_step`: the whole step is traced, and takes no time."""
    step: Any = make_train_step(cfg, objective, mesh)
    outputs = step.eval_shape(ours.abstract_state(cfg, mesh), batch, np.uint32(0), None)
    metrics = jax.tree.map(lambda like: np.zeros(like.shape, like.dtype), outputs[1])
    return lambda state, *_: (state, metrics)


@pytest.mark.parametrize("name", sorted(MEMBERS))
def test_a_model_is_asked_tuned_and_asked_again(name, corpus, reviews, tmp_path, capfd):
    run, tuned = holding(name, corpus, tmp_path / "run"), tmp_path / "ft"
    assert main(["info", str(run)]) == 0
    assert f"model       {config(name).model.family}, " in capfd.readouterr().out
    fills = MEMBERS[name].startswith("token")
    asked = main(["fill-mask", str(run), "The old [MASK] opened."])
    assert asked == (0 if fills else EXIT_BAD_INPUT)
    said = capfd.readouterr()
    assert MEMBERS[name] in (said.out if fills else said.err)

    recipe = tmp_path / "tune.py"
    causal = config(name).model.attention == "causal"
    recipe.write_text(CONFIG.format(pooling="last" if causal else "cls"))
    files = [f"data.train={reviews}", f"data.dev={reviews}"]
    places = ["--config", str(recipe), "--init", str(run), "--workdir", str(tuned)]
    assert main(["finetune", *places, *files]) == 0
    out = tmp_path / "p.jsonl"
    assert main(["predict", str(tuned), "--input", str(reviews), "--out", str(out)]) == 0
    assert len(out.read_text().splitlines()) == 32
    assert main(["info", str(tuned)]) == 0
    assert "dev accuracy" in capfd.readouterr().out


@pytest.mark.parametrize("name", sorted(MEMBERS))
def test_a_step_is_planned_and_made_ready_to_be_timed(name, tmp_path, capfd, monkeypatch):
    monkeypatch.setattr("bertjax.plan.gpu.can_compile", lambda: False)
    monkeypatch.setattr(ours, "compile_step", traced_only)
    monkeypatch.setattr(ours, "fresh_state", lambda *_: ())
    monkeypatch.setattr(ours, "matmul_rate", lambda *_: 1.0)
    monkeypatch.setattr(ours, "_planned_bytes", lambda _: 1)
    recipe, report = tmp_path / "run.json", tmp_path / "bench.json"
    recipe.write_text(to_json(config(name)))
    chosen = ["--config", str(recipe)]
    assert main(["plan", *chosen, "--topology", "h200:1", "--json", str(tmp_path / "p.json")]) == 0
    assert json.loads((tmp_path / "p.json").read_text())["phases"]
    options = ["--steps", "4", "--no-parts", "--json", str(report)]
    assert main(["bench", *chosen, *options]) == 0
    assert json.loads(report.read_text())["config"]["model"]["family"] == FAMILY[name]["family"]
