"""How many parameters a model has."""

from __future__ import annotations

import math

from bertjax.config import ModelConfig
from bertjax.model.encoder import Params
from bertjax.model.pretraining import describe
from bertjax.tree import flatten


def parameter_count(cfg: ModelConfig, params: Params) -> int:
    """How many parameters a model has, without the rows that only pad its vocabulary.

    `params` may be abstract. It is the number that transformers counts in an export, but for the
    rows of the position table before position 0, which each of its classes has as it wants them.
    """
    facts = describe(cfg)

    def size(path: str, shape: tuple[int, ...]) -> int:
        padded = path in facts and "vocab" in facts[path].axes
        return math.prod((cfg.vocab_size, *shape[1:]) if padded else shape)

    return sum(size(path, leaf.shape) for path, leaf in flatten(params).items())
