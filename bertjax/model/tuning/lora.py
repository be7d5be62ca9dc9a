"""Low-rank updates of dense layers (Hu et al. 2021, "LoRA"): y = W x + b + α/r · B A dropout(x).

A begins as in loralib and peft, uniform in ±1/√inputs (Kaiming with a = √5), and B at zero. Here
both are as kernels are: A [inputs, r], B [r, outputs].
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import numpy as np
from flax import nnx
from jax import Array
from jax.typing import DTypeLike

from bertjax.config import LoraConfig, ModelConfig
from bertjax.errors import UserError
from bertjax.facts import Facts, made_as
from bertjax.model.dropout import dropout
from bertjax.model.encoder import Params
from bertjax.model.layers import Dense
from bertjax.tree import flatten, unflatten

ADDED = made_as("matrix", roles=("added",))
_WITHIN = 1 / 3  # the variance of ±1/√inputs is a third of 1/inputs
_start_of_a = jax.nn.initializers.variance_scaling(_WITHIN, "fan_in", "uniform")


class LowRank(nnx.Module):
    """The update of one dense layer; `number` tells its dropout from that of its neighbours."""

    def __init__(
        self,
        lora: LoraConfig,
        fan_in: int,
        fan_out: int,
        number: int,
        dtype: DTypeLike,
        rngs: nnx.Rngs,
    ):
        self.rate, self.scale, self.number, self.dtype = lora.dropout, lora.scale, number, dtype
        self.a = nnx.Param(_start_of_a(rngs.params(), (fan_in, lora.rank)), **ADDED)
        self.b = nnx.Param(jax.numpy.zeros((lora.rank, fan_out)), **ADDED)

    def __call__(self, x: Array, key: Array | None) -> Array:
        """[R, fan_in] -> [R, fan_out]; a key turns dropout on."""
        key = None if key is None else jax.random.fold_in(key, self.number)
        a, b = self.a[...].astype(self.dtype), self.b[...].astype(self.dtype)
        return dropout(x.astype(self.dtype), self.rate, key) @ a @ b * self.scale


@dataclass(frozen=True)
class Lora:
    """The encoder stays, and `lora.targets` of every layer have updates."""

    cfg: LoraConfig

    def insert(self, cfg: ModelConfig, block: nnx.Module, dtype: DTypeLike, rngs: nnx.Rngs) -> None:
        """Give each target an update."""
        found = {path: dense for path, dense in nnx.iter_modules(block) if type(dense) is Dense}
        named = {path: target_name("/".join(map(str, path))) for path in found}
        there = set(named.values())
        for name in self.cfg.targets:
            if name != "all" and name not in there:
                raise UserError(
                    f"lora.targets={name}: the layers of this {cfg.family} have none of that "
                    f"name; use {', '.join(sorted(there - {''}))}"
                )
        for number, (path, dense) in enumerate(found.items()):
            if named[path] in self.cfg.layers:
                fan_in, fan_out = dense.kernel.shape
                if self.cfg.rank > min(fan_in, fan_out):
                    raise UserError(
                        f"lora.rank={self.cfg.rank}, but {named[path]} is {fan_in} × {fan_out}: "
                        f"use at most {min(fan_in, fan_out)}"
                    )
                dense.update = LowRank(self.cfg, fan_in, fan_out, number, dtype, rngs)

    def trains(self, facts: Facts) -> bool:
        """The updates alone."""
        return "added" in facts.roles

    def merged(self, params: Params) -> Params:
        """W + α/r · A B in place of each W, in float32."""
        leaves = flatten(params)
        for path in [path for path in leaves if path.endswith("/update/a")]:
            dense = path.removesuffix("/update/a")
            a, b = leaves.pop(path), leaves.pop(f"{dense}/update/b")
            kernel = np.asarray(leaves[f"{dense}/kernel"])
            leaves[f"{dense}/kernel"] = kernel + np.float32(self.cfg.scale) * (
                np.asarray(a) @ np.asarray(b)
            )
        return unflatten(leaves)


def target_name(path: str) -> str:
    """What `lora.targets` calls the dense layer at a path inside a layer; empty: it is none."""
    part, _, name = path.rpartition("/")
    if name == "output":
        return f"{'attention' if part == 'attention' else 'feed_forward'}_output"
    return name if name in ("query", "key", "value", "intermediate", "gate") else ""
