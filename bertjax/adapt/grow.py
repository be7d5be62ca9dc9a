"""Weights for new pieces: each row is the mean of those of the pieces that the word had."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bertjax import model
from bertjax.config import ModelConfig
from bertjax.tree import flatten, unflatten


def with_rows(
    cfg: ModelConfig, params: model.Params, first: int, old: Sequence[Sequence[int]]
) -> tuple[ModelConfig, model.Params]:
    """The model with a row for each new piece in every parameter over the vocabulary.

    These are the word table, the output bias and, where it has them, the decoder and the extension
    of the head. Everything else is the same array.

    Args:
        cfg: the architecture.
        params: of pretraining.
        first: id of the first new piece; the table may have more rows than pieces, which are taken.
        old: ids of the pieces whose rows each new row is the mean of.
    """
    grown = replace(cfg, vocab_size=max(cfg.vocab_size, first + len(old)))
    facts, shapes = model.describe(cfg), flatten(model.abstract_params(grown))
    made = {}
    for path, leaf in flatten(params).items():
        if path not in facts or "vocab" not in facts[path].axes:
            made[path] = leaf
            continue
        rows = np.asarray(leaf)
        made[path] = np.zeros(shapes[path].shape, rows.dtype)
        made[path][: cfg.vocab_size] = rows[: cfg.vocab_size]
        for i, ids in enumerate(old, first):
            made[path][i] = rows[list(ids)].mean(axis=0, dtype=np.float64)
    return grown, unflatten(made)
