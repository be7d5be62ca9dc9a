"""What the path of a parameter says of it.

The one reader of paths for all that goes by depth or by size. Once a parameter says these things
where it is made, this file asks it, and nobody else need know.
"""

from __future__ import annotations

import math
import re
from typing import Any

from bertjax.config import ModelConfig
from bertjax.model.encoder import Params
from bertjax.tree import flatten

PADDED = ("embeddings/word_embeddings/embedding", "masked_lm/bias")  # a row or entry for each piece
_HEADS = ("head", "masked_lm", "next_sentence")
_TOP = ("final_norm", "pooler")


def depth(cfg: ModelConfig, path: str) -> int | None:
    """How far up the pretrained encoder a parameter is, or None if it is in a head.

    0 for the embeddings, 1 for the lowest layer, L for the top one, L + 1 for what follows it.

    Raises:
        ValueError: no such path is known.
    """
    first = path.partition("/")[0]
    layer = re.fullmatch(r"layer_(\d+)", first)
    if layer and int(layer[1]) < cfg.num_layers:
        return int(layer[1]) + 1
    if first == "embeddings":
        return 0
    if first in _TOP:
        return cfg.num_layers + 1
    if first in _HEADS:
        return None
    raise ValueError(f"parameter {path} has no depth among {cfg.num_layers} layers: mend `depth`")


def parameter_count(cfg: ModelConfig, params: Params) -> int:
    """How many parameters a model has, without the rows that only pad its vocabulary.

    `params` may be abstract. It is the number that transformers counts in an export, but for the
    rows of the position table before position 0, which each of its classes has as it wants them.
    """

    def size(path: str, leaf: Any) -> int:
        rows = (cfg.vocab_size, *leaf.shape[1:]) if path in PADDED else leaf.shape
        return math.prod(rows)

    return sum(size(path, leaf) for path, leaf in flatten(params).items())
