"""Causal LM (GPT, Radford et al. 2018, section 3.1): each token from those before it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import jax.numpy as jnp
from jax import Array

from bertjax import model
from bertjax.config import ModelConfig
from bertjax.objectives.losses import Mean, cross_entropy, z_loss
from bertjax.objectives.objective import Batch
from bertjax.text.special import SpecialIds


@dataclass(frozen=True)
class CausalLM:
    """The next token, for a model whose attention sees none that is later.

    All real tokens but the first of each example are predicted, special ones included; packed
    examples do not predict each other. Nothing is drawn. Reads `tokens`, `token_types`,
    `positions` and `segments` of a batch.
    """

    cfg: ModelConfig
    special: SpecialIds
    z_weight: float = 0.0  # of `losses.z_loss` at all predictions

    selects = "causal_lm_loss"
    shown = {"loss": "causal_lm_loss", "acc": "causal_lm_accuracy"}  # noqa: RUF012 (a constant)

    @property
    def weights(self) -> dict[str, float]:
        """Of the next token, and of what keeps its logits in place."""
        return {"causal_lm_loss": 1.0} | ({"z_loss": self.z_weight} if self.z_weight else {})

    @property
    def never_predicted(self) -> tuple[int, ...]:
        """What every example begins with."""
        return (self.special.cls,)

    def corrupt(self, batch: Batch, seed: Array | int, position: Array | float = 0.0) -> Batch:
        """The text as it is, with its next tokens as labels of the places before them."""
        tokens_BT, segments_BT = batch["tokens"], batch["segments"]
        B, T = tokens_BT.shape
        same = (segments_BT[:, 1:] == segments_BT[:, :-1]) & (segments_BT[:, 1:] != 0)
        return batch | {
            "predict_positions": jnp.broadcast_to(jnp.arange(T - 1, dtype=jnp.int32), (B, T - 1)),
            "predict_labels": tokens_BT[:, 1:],
            "predict_weights": same.astype(jnp.float32),
        }

    def counts(self, batch: Batch) -> dict[str, Array]:
        """Tokens that follow one of their example."""
        return dict.fromkeys(("causal_lm_loss", "z_loss"), jnp.sum(batch["predict_weights"]))

    def sums(
        self, params: model.Params, batch: Batch, compute: model.Compute, key: Array | None
    ) -> dict[str, Mean]:
        """`causal_lm_loss` (nats) and `causal_lm_accuracy`; `z_loss`."""
        outputs = model.apply(self.cfg, params, batch, compute=compute, key=key)
        logits, weights = outputs["masked_lm_logits"], batch["predict_weights"]
        sums = cross_entropy("causal_lm", logits, batch["predict_labels"], weights)
        if self.z_weight:
            sums["z_loss"] = z_loss(logits, weights)
        return sums

    def evaluation(self) -> CausalLM:
        """As in training."""
        return replace(self, z_weight=0.0)

    def predictions(self, seq_len: int) -> float:
        """All but the first."""
        return seq_len - 1
