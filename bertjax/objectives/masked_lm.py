"""Masked LM (Devlin et al. 2019, section 3.1), and the labels of pairs where that is on."""

from __future__ import annotations

from dataclasses import dataclass, replace

import jax.numpy as jnp
from jax import Array

from bertjax import model
from bertjax.config import ModelConfig
from bertjax.objectives.losses import Mean, cross_entropy, z_loss
from bertjax.objectives.masks import Masks
from bertjax.objectives.objective import EVALUATION_MASKING, Batch


@dataclass(frozen=True)
class MaskedLM:
    """What stands at the masks; with `pairs`, also how the two segments of a row belong together.

    Reads `tokens`, `token_types`, `positions`, `segments`, `word_starts` and `example_ids` of a
    batch; with pairs `cls_positions` and `pair_labels` too.
    """

    cfg: ModelConfig
    masks: Masks
    pairs: str = ""  # what their label is called: nsp, sop, sop_strict; empty: not predicted
    z_weight: float = 0.0  # of `losses.z_loss` at the masks

    selects = "masked_lm_loss"

    @property
    def weights(self) -> dict[str, float]:
        """Masks and pairs weigh the same (bert run_pretraining.py)."""
        pairs = {"next_sentence_loss": 1.0} if self.pairs else {}
        z = {"z_loss": self.z_weight} if self.z_weight else {}
        return {"masked_lm_loss": 1.0} | pairs | z

    @property
    def shown(self) -> dict[str, str]:
        """Loss and accuracy at the masks, accuracy of the pairs."""
        pairs = {f"{self.pairs} acc": "next_sentence_accuracy"} if self.pairs else {}
        return {"loss": "masked_lm_loss", "acc": "masked_lm_accuracy"} | pairs

    @property
    def never_predicted(self) -> tuple[int, ...]:
        """What begins and ends segments: evaluation masks neither."""
        return (self.masks.special.cls, self.masks.special.sep)

    def corrupt(self, batch: Batch, seed: Array | int, position: Array | float = 0.0) -> Batch:
        """Masked."""
        return self.masks.put(batch, seed, position)

    def counts(self, batch: Batch) -> dict[str, Array]:
        """Masks and pairs."""
        masks = jnp.sum(batch["predict_weights"])
        counts = {"masked_lm_loss": masks, "z_loss": masks}
        if self.pairs:
            counts["next_sentence_loss"] = jnp.sum(batch["pair_labels"] >= 0).astype(jnp.float32)
        return counts

    def sums(
        self, params: model.Params, batch: Batch, compute: model.Compute, key: Array | None
    ) -> dict[str, Mean]:
        """`masked_lm_loss` (nats), `masked_lm_accuracy`; with pairs `next_sentence_*`; `z_loss`."""
        outputs = model.apply(self.cfg, params, batch, compute=compute, key=key)
        sums = masked_lm_sums(outputs["masked_lm_logits"], batch)
        if self.z_weight:
            sums["z_loss"] = z_loss(outputs["masked_lm_logits"], batch["predict_weights"])
        if self.pairs:
            sums |= next_sentence_sums(outputs["next_sentence_logits"], batch["pair_labels"])
        return sums

    def evaluation(self) -> MaskedLM:
        """On BERT's masks."""
        return replace(self, masks=self.masks.fixed(EVALUATION_MASKING), z_weight=0.0)

    def predictions(self, seq_len: int) -> float:
        """The masks."""
        return self.masks.predictions(seq_len)


def masked_lm_sums(logits_BKV: Array, batch: Batch) -> dict[str, Mean]:
    """Cross-entropy of the K prediction slots; a slot of weight 0 counts for nothing.

    Label id 0 is a label like any other (google-research/bert run_pretraining.py).
    """
    return cross_entropy("masked_lm", logits_BKV, batch["predict_labels"], batch["predict_weights"])


def next_sentence_sums(logits_BM2: Array, labels_BM: Array) -> dict[str, Mean]:
    """Cross-entropy of the pair labels; label −1 marks a place without a pair."""
    weights = (labels_BM >= 0).astype(jnp.float32)
    return cross_entropy("next_sentence", logits_BM2, jnp.maximum(labels_BM, 0), weights)
