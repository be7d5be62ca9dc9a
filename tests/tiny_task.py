"""A task that a tiny encoder learns in seconds: which of two words a text repeats."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import jax
import numpy as np

from bertjax import huggingface, model
from bertjax.cli.export import check_lines
from bertjax.config import (
    ExamplesConfig,
    FinetuneConfig,
    ModelConfig,
    OptimConfig,
    TaskConfig,
    TuneConfig,
)
from bertjax.finetuning.run import Start, finetune
from bertjax.finetuning.saved import SavedRun, open_saved
from bertjax.text.tokenizer import Tokenizer
from bertjax.text.tokenizer_training import train_tokenizer
from bertjax.tree import flatten

WORDS = ["river", "city", "house", "writer", "garden", "engine", "winter", "letter", "school"]


@lru_cache
def tokenizer(lowercase: bool = True) -> Tokenizer:
    sentences = [" ".join(random.Random(i).sample([*WORDS, "good", "bad"], 6)) for i in range(200)]
    return train_tokenizer("wordpiece", sentences, 150, lowercase=lowercase)


def write_table(path: Path, rows: int, seed: int = 0) -> Path:
    """`text` and `label`: of 3 to 12 words, one is good or bad."""
    draw = random.Random(seed)
    lines = ["text\tlabel"]
    for _ in range(rows):
        words = draw.choices(WORDS, k=draw.randint(3, 12))
        label = draw.choice(["good", "bad"])
        words[draw.randrange(len(words))] = label
        lines.append(f"{' '.join(words)}\t{label}")
    path.write_text("\n".join(lines) + "\n")
    return path


def config(train: Path, dev: Path | str = "", **changes) -> FinetuneConfig:
    """A tiny run; `changes` are of its sections: `tune={"epochs": 2}`."""
    cfg = FinetuneConfig(
        model=ModelConfig(
            vocab_size=tokenizer().vocab_size,
            hidden_size=32,
            num_layers=2,
            num_heads=2,
            intermediate_size=64,
            max_positions=32,
            initializer_range=0.1,
            hidden_dropout=0.05,
        ),
        task=TaskConfig(name="tiny"),
        data=ExamplesConfig(train=str(train), dev=str(dev), max_length=24),
        optim=OptimConfig(learning_rate=5e-3, bias_correction=True),
        tune=TuneConfig(epochs=3, batch_size=16, log_every=2),
    )
    changed = {name: replace(getattr(cfg, name), **fields) for name, fields in changes.items()}
    return replace(cfg, **changed)


@lru_cache
def encoder() -> model.Params:
    cfg = config(Path("x")).model
    return jax.tree.map(np.asarray, jax.jit(model.init, static_argnums=0)(cfg, jax.random.key(0)))


def start() -> Start:
    return Start("a tiny encoder", encoder(), tokenizer())


def export_encoder(out: Path) -> None:
    """Write it as a Hugging Face directory."""
    facts = huggingface.CardFacts("tiny", "", "{}", {}, 0, "", 0, {})
    cfg = config(Path("x")).model
    huggingface.export_model(cfg, encoder(), tokenizer(), out, facts, check_lines())


def results(run: Path) -> dict:
    """What `finetune` or `fuse` wrote down of its scores."""
    return json.loads((run / "results.json").read_text())


def eight_rows(cfg: FinetuneConfig) -> dict[str, np.ndarray]:
    """A batch of eight texts, a row each."""
    rng = np.random.default_rng(0)
    tokens = rng.integers(5, cfg.model.vocab_size, (8, 10)).astype(np.int32)
    return {
        "tokens": tokens,
        "token_types": np.zeros_like(tokens),
        "positions": np.tile(np.arange(10, dtype=np.int32), (8, 1)),
        "segments": np.ones_like(tokens),
        "label": rng.integers(0, 2, 8).astype(np.int32),
        "example_weights": np.ones(8, np.float32),
    }


def assert_resumes(cfg: FinetuneConfig, folder: Path, cuts: tuple[int, ...]) -> SavedRun:
    """A run that is stopped after so many steps, again and again, ends in the unbroken one's bits.

    Returns the unbroken run, `a` in the folder; the other is `b`.
    """
    assert finetune(cfg, folder / "a", start()).stopped is None
    for steps in (*cuts, 100):
        left = iter([None] * steps)
        done = finetune(cfg, folder / "b", start(), stop=lambda left=left: next(left, "SIGTERM"))
        assert done.stopped == (None if steps == 100 else "SIGTERM")
    ours, theirs = (open_saved(folder / name) for name in "ab")
    a, b = (flatten(run.parameters(run.best)) for run in (ours, theirs))
    assert all(a[path].tobytes() == b[path].tobytes() for path in a)
    return ours
