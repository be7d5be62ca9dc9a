"""One adapter a layer, after the feed-forward (Pfeiffer et al. 2020, "MAD-X", section 4).

x = LN(h + x₀), y = LN(up(act(down x)) + h + x₀): the layer's own norm is applied twice (`seq_bn`
of the library `adapters`). Departure: `up` begins at zero, where the library has 0.02.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jax import Array

from bertjax.model.tuning.bottleneck import Adapters, Bottleneck


@dataclass(frozen=True)
class Pfeiffer(Adapters):
    """One bottleneck a layer."""

    name = "pfeiffer"
    places = ("feed_forward",)
    activation = "relu"
    std = 0.02

    @staticmethod
    def joins(
        adapter: Bottleneck, x_RD: Array, branch_RD: Array, normed: Callable[[Array], Array]
    ) -> Array:
        """Of the layer's normed output."""
        sum_RD = x_RD + branch_RD
        return normed(sum_RD + adapter(normed(sum_RD)))
