"""Adapters after both branches of a layer, before their sums (Houlsby et al. 2019, figure 2).

y = LN(x + a(h)) with a(h) = h + up(act(down h)) (google-research/adapter-bert modeling.py;
`double_seq_bn` of the library `adapters`). Departure: `up` begins at zero and not near it, so that
training begins from the encoder's own outputs; `down` as in their section 3.6.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jax import Array

from bertjax.model.tuning.bottleneck import Adapters, Bottleneck


@dataclass(frozen=True)
class Houlsby(Adapters):
    """Two bottlenecks a layer."""

    name = "houlsby"
    places = ("attention", "feed_forward")
    activation = "gelu"
    std = 1e-2

    @staticmethod
    def joins(
        adapter: Bottleneck, x_RD: Array, branch_RD: Array, normed: Callable[[Array], Array]
    ) -> Array:
        """Of the branch alone."""
        return normed(x_RD + (branch_RD + adapter(branch_RD)))
