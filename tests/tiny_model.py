"""The smallest encoder with every part, and batches for it, shared by the tests of the core."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import jax
import numpy as np
from jax.sharding import Mesh

from bertjax import model, sharding
from bertjax.config import (
    DataConfig,
    MeshConfig,
    ModelConfig,
    OptimConfig,
    Phase,
    PretrainConfig,
    TrainConfig,
)
from bertjax.data.batches import BatchSource
from bertjax.data.corpus import SENTENCE, WORD, Corpus
from bertjax.text.special import SpecialIds
from bertjax.tree import path_name

SPECIAL = SpecialIds(pad=0, unk=1, cls=2, sep=3, mask=4)
VOCAB = 60  # 128 rows in the table, of which 68 are padding
ROW, ROWS = 16, 16  # T and B

# Large initial weights, so that attention is far from uniform and mistakes in it show.
MODEL = ModelConfig(
    vocab_size=VOCAB,
    hidden_size=32,
    num_layers=2,
    num_heads=4,
    intermediate_size=64,
    max_positions=ROW,
    hidden_dropout=0.0,
    attention_dropout=0.0,
    initializer_range=0.1,
)
RUN = PretrainConfig(
    model=MODEL,
    data=DataConfig(format="segment_pair+sop", short_seq_prob=0.3, phases=(Phase(ROW, ROWS),)),
    optim=OptimConfig(learning_rate=1e-3, warmup_fraction=0.0),
    train=TrainConfig(steps=20),
)


def run_config(optimizer: str = "adamw", accumulate: int = 1, **optim) -> PretrainConfig:
    """RUN with another optimizer or number of micro-batches."""
    return replace(
        RUN,
        optim=replace(RUN.optim, optimizer=optimizer, **optim),
        train=replace(RUN.train, accumulate=accumulate),
    )


def mesh(data: int = 1, fsdp: int = 1, tensor: int = 1) -> Mesh:
    """A mesh over the first devices."""
    return sharding.make_mesh(MeshConfig(data, fsdp, tensor), jax.devices()[: data * fsdp * tensor])


@lru_cache(maxsize=1)
def corpus(documents: int = 60, seed: int = 0) -> Corpus:
    """Random documents of 1 to 5 sentences of 1 to 6 tokens; about one token in two is a word."""
    draw = np.random.default_rng(seed)
    sentences = [draw.integers(1, 7, draw.integers(1, 6)) for _ in range(documents)]
    sentence_starts = np.concatenate([[0], np.cumsum(np.concatenate(sentences))]).astype(np.int64)
    first = np.concatenate([[0], np.cumsum([len(s) for s in sentences])]).astype(np.int64)
    total = int(sentence_starts[-1])
    boundaries = (draw.random(total) < 0.5).astype(np.uint8) * WORD
    boundaries[sentence_starts[:-1]] = WORD | SENTENCE
    return Corpus(
        tokens=draw.integers(5, VOCAB, total).astype(np.uint16),
        boundaries=boundaries,
        document_starts=sentence_starts[first],
        sentence_starts=sentence_starts,
        special=SPECIAL,
        vocab_size=VOCAB,
        fingerprint="tokenizer",
        identity="corpus",
    )


@lru_cache(maxsize=8)
def source(data: DataConfig = RUN.data) -> BatchSource:
    """Batches of `corpus`."""
    return BatchSource(corpus(), data, 0, seed=0)


def by_path(tree) -> dict[str, np.ndarray]:
    """The arrays of a tree by path, on the host."""
    leaves = jax.tree_util.tree_leaves_with_path(jax.device_get(tree))
    return {path_name(path): np.asarray(leaf) for path, leaf in leaves}


def largest_difference(ours, theirs) -> float:
    """The largest absolute difference between two trees of the same paths."""
    a, b = by_path(ours), by_path(theirs)
    assert a.keys() == b.keys()
    return max(float(np.abs(a[name] - b[name]).max(initial=0.0)) for name in a)


def by_path_of_shapes(cfg: ModelConfig) -> dict[str, tuple[int, ...]]:
    """The shape of every parameter."""
    leaves = jax.tree_util.tree_leaves_with_path(model.abstract_params(cfg))
    return {path_name(path): leaf.shape for path, leaf in leaves}
