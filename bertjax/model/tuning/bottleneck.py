"""What Houlsby's and Pfeiffer's adapters share: a bottleneck, and where it may stand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import jax
from flax import nnx
from jax import Array
from jax.typing import DTypeLike

from bertjax.config import AdapterConfig, ModelConfig
from bertjax.errors import UserError
from bertjax.facts import Facts, made_as
from bertjax.model import layers
from bertjax.model.encoder import Params

# (adapter, inputs, what a branch makes of them, the norm that follows) -> the residual sum, [R, D].
Joins = Callable[[Any, Array, Array, Callable[[Array], Array]], Array]

_KERNEL = made_as("matrix", roles=("added",))
_BIAS = made_as("vector", roles=("added", "bias"))


class Bottleneck(nnx.Module):
    """up(activation(down(x))), zero at first; `joins` says where its input is taken."""

    def __init__(
        self,
        width: int,
        size: int,
        activation: str,
        joins: Joins,
        std: float,
        dtype: DTypeLike,
        rngs: nnx.Rngs,
    ):
        self.activation, self.joins = activation, joins
        dense = partial(
            layers.Dense, dtype=dtype, rngs=rngs, kernel_metadata=_KERNEL, bias_metadata=_BIAS
        )
        start = jax.nn.initializers
        self.down = dense(width, size, kernel_init=start.truncated_normal(std))
        self.up = dense(size, width, kernel_init=start.zeros)

    def __call__(self, x_RD: Array) -> Array:
        """[R, D] -> [R, D]."""
        return self.up(layers.activation(self.activation, self.down(x_RD)))

    def joined(self, x_RD: Array, branch_RD: Array, normed: Callable[[Array], Array]) -> Array:
        """The state after a branch: `layers.Adapter`."""
        return self.joins(self, x_RD, branch_RD, normed)


@dataclass(frozen=True)
class Adapters:
    """The encoder stays, and its layers have bottlenecks at `places`."""

    cfg: AdapterConfig
    name: ClassVar[str]
    places: ClassVar[tuple[str, ...]]
    activation: ClassVar[str]  # the default one
    std: ClassVar[float]  # of what `down` begins with

    @staticmethod
    def joins(
        adapter: Any, x_RD: Array, branch_RD: Array, normed: Callable[[Array], Array]
    ) -> Array:
        """What `Bottleneck.joined` computes."""
        raise NotImplementedError

    @property
    def settled(self) -> AdapterConfig:
        """The options with the default activation written out."""
        return replace(self.cfg, activation=self.cfg.activation or self.activation)

    def size(self, width: int) -> int:
        """Of the bottleneck of a layer of that width, as `adapters` rounds it."""
        return int(width // self.cfg.reduction)

    def insert(self, cfg: ModelConfig, block: nnx.Module, dtype: DTypeLike, rngs: nnx.Rngs) -> None:
        """Give each place of a layer a bottleneck."""
        width = cfg.hidden_size
        if cfg.bottleneck_size:
            raise UserError(
                f"tune.method={self.name} with a {cfg.family}: its layers are bottlenecks "
                "themselves and have no place for adapters; use tune.method=lora or bitfit"
            )
        if not self.size(width):
            raise UserError(
                f"adapter.reduction={self.cfg.reduction:g} leaves nothing of a hidden size of "
                f"{width}: use at most {width}"
            )
        for place in self.places:
            made = Bottleneck(
                width, self.size(width), self.settled.activation, self.joins, self.std, dtype, rngs
            )
            setattr(block, f"{place}_adapter", made)

    def trains(self, facts: Facts) -> bool:
        """The bottlenecks, and the norms of the encoder if `adapter.norms`."""
        return "added" in facts.roles or (self.cfg.norms and "norm" in facts.roles)

    def merged(self, params: Params) -> Params:
        """Refuse: a bottleneck is a layer of its own."""
        del params
        raise UserError(
            f"{self.name} adapters are layers that no plain encoder has: export them by "
            "themselves with --adapters, or start from their base"
        )
