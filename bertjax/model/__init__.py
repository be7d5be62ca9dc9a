"""The encoder. Everything outside this folder uses only these names, and `model.task`'s."""

from bertjax.model.compute import Compute
from bertjax.model.encoder import Params
from bertjax.model.pretraining import abstract_params, apply, init

__all__ = ["Compute", "Params", "abstract_params", "apply", "init"]
