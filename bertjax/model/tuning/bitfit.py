"""Every bias of the encoder, and nothing else of it (Ben Zaken et al. 2022, "BitFit").

Biases of norms and of the pooler among them (benzakenelad/BitFit utils.py).
"""

from __future__ import annotations

from dataclasses import dataclass

from flax import nnx
from jax.typing import DTypeLike

from bertjax.config import ModelConfig
from bertjax.errors import UserError
from bertjax.facts import Facts
from bertjax.model.encoder import Params


@dataclass(frozen=True)
class BitFit:
    """Nothing is added."""

    def insert(self, cfg: ModelConfig, block: nnx.Module, dtype: DTypeLike, rngs: nnx.Rngs) -> None:
        """Refuse an encoder without biases."""
        del block, dtype, rngs
        if not cfg.linear_bias and (not cfg.norm_bias or cfg.norm_kind == "rms"):
            raise UserError(
                f"tune.method=bitfit with a {cfg.family}: its layers have no biases; use "
                "tune.method=lora"
            )

    def trains(self, facts: Facts) -> bool:
        """The biases."""
        return "bias" in facts.roles

    def merged(self, params: Params) -> Params:
        """They are those of a plain encoder."""
        return params
