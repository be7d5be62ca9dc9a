"""The encoder. What is outside this folder runs it by these names alone.

`model.task` is the same door for models with a task's head, `networks` for those of a run that has
two; `tuning` says what few weights are and lays them on, `attention` chooses a backend and checks
it, `parameters` counts. Of `layers` a sampler takes its keys, of `domains` a name.
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
