"""What a way to tune few weights is: all that the model, the step and exports ask of one."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Protocol

from flax import nnx
from jax.typing import DTypeLike

from bertjax.config import ModelConfig
from bertjax.facts import Facts
from bertjax.model.encoder import Params


class Method(Hashable, Protocol):
    """A frozen value of one file; it knows no task, no optimizer and no file.

    Heads, and what a model has that the encoder it starts from has not, are trained in all of them.
    """

    def insert(self, cfg: ModelConfig, block: nnx.Module, dtype: DTypeLike, rngs: nnx.Rngs) -> None:
        """Put new parameters into a layer of an encoder, with the role `added`.

        They begin so that the layer computes what it did, bit for bit.

        Raises:
            UserError: they do not fit the layer.
        """

    def trains(self, facts: Facts) -> bool:
        """Whether a parameter of the encoder is trained, one that was added or one of its own."""

    def merged(self, params: Params) -> Params:
        """Parameters of the plain encoder, and its head, that computes the same.

        Raises:
            UserError: no plain encoder does.
        """
