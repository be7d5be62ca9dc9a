"""The encoder. Everything outside this folder uses only these names, and those of two files.

`model.task` is the same door for models with a task's head; `model.parameters` knows what the path
of a parameter says.
"""

from bertjax.model.compute import Compute
from bertjax.model.encoder import Params
from bertjax.model.pretraining import (
    abstract_params,
    apply,
    describe,
    encode,
    init,
    masked_lm_logits,
)

__all__ = [
    "Compute",
    "Params",
    "abstract_params",
    "apply",
    "describe",
    "encode",
    "init",
    "masked_lm_logits",
]
