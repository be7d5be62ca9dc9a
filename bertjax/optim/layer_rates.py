"""Learning rates that differ by depth, for fine-tuning."""

from __future__ import annotations

import re
from typing import Any

import jax
import optax

from bertjax.config import OptimConfig
from bertjax.optim.optimizers import optimizer
from bertjax.tree import path_name


def layer_rates(params: Any, num_layers: int, decay: float, head_rate: float) -> Any:
    """The rate of every parameter relative to the schedule's, as a tree like `params`.

    New parameters (`head/...`) have `head_rate`; everything else `decay` to the power of the
    number of layers above it: 0 for pooler and final norm, 1 for the top layer, L for the lowest,
    L + 1 for the embeddings. google-research/electra means the same and is off by one: its top
    layer has decay² (issue 51).
    """

    def rate(path, _) -> float:
        name = path_name(path)
        if name.startswith("head/"):
            return head_rate
        if name.startswith("embeddings/"):
            return decay ** (num_layers + 1)
        layer = re.match(r"layer_(\d+)/", name)
        return decay ** (num_layers - int(layer[1])) if layer else 1.0

    return jax.tree_util.tree_map_with_path(rate, params)


def optimizer_by_layer(
    cfg: OptimConfig, steps: int, rates: Any
) -> optax.GradientTransformationExtraArgs:
    """The optimizer of `cfg` with each parameter's update, decay included, times its rate.

    The update is scaled and not the gradient: Adam divides a scaled gradient by its own scale
    again, which is why XLNet's layer-wise decay has no effect.
    """

    def scale(updates, _):
        return jax.tree.map(lambda update, rate: update * rate, updates, rates)

    return optax.chain(optimizer(cfg, steps), optax.stateless(scale))
