"""The encoder. Everything outside this folder uses only these names."""

from bertjax.model.encoder import Params, abstract_params, apply, init

__all__ = ["Params", "abstract_params", "apply", "init"]
