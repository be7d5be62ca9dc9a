"""The encoder. Everything outside this folder uses only these names, and `model.task`'s."""

from bertjax.model.encoder import Params
from bertjax.model.pretraining import abstract_params, apply, init

__all__ = ["Params", "abstract_params", "apply", "init"]
