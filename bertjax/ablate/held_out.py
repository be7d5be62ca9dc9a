"""The masked loss of a model on the held-out documents of its corpus, the same for every arm.

Rows are sentences of one document (`doc_sentences`) as long as the base recipe's last phase has
them, and 15 % of their pieces are hidden, whatever the arm's own rows and masks are.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from bertjax import model
from bertjax.config import DataConfig, ModelConfig, PretrainConfig
from bertjax.data.batches import BatchSource, evaluation_batches
from bertjax.data.corpus import Corpus
from bertjax.objectives import masking
from bertjax.objectives.losses import nll_of
from bertjax.objectives.objective import EVALUATION_MASKING, EVALUATION_SEED
from bertjax.text.special import SpecialIds


@dataclass(frozen=True)
class HeldOut:
    """Rows of the held-out split, in the order of its documents."""

    source: BatchSource
    special: SpecialIds
    pieces: int
    rows: int

    @classmethod
    def plan(cls, base: PretrainConfig, held_out: Corpus) -> HeldOut:
        """`train.eval_rows` rows of the last phase's length."""
        phase = base.data.phases[-1]
        data = DataConfig(format="doc_sentences", phases=(phase,), short_seq_prob=0.0)
        source = BatchSource(held_out, data, 0, EVALUATION_SEED)
        rows = min(base.train.eval_rows, source.rows_per_epoch)
        return cls(source, held_out.special, held_out.vocab_size, rows)

    def losses(self, cfg: ModelConfig, params: model.Params) -> tuple[np.ndarray, np.ndarray]:
        """Of each row the mean loss of its hidden pieces, in nats, and how many there are.

        Both float64 [rows]; a row without hidden pieces has loss 0.
        """
        size = min(self.source.batch_size, self.rows)
        found = [
            np.asarray(_row_sums(cfg, self.special, self.pieces, params, batch), np.float64)
            for batch in evaluation_batches(self.source, self.rows, size)
        ]
        sums, counts = np.concatenate(found, axis=1)[:, : self.rows]
        return sums / np.maximum(counts, 1.0), counts


@partial(jax.jit, static_argnums=(0, 1, 2))
def _row_sums(
    cfg: ModelConfig, special: SpecialIds, pieces: int, params: model.Params, batch: dict[str, Any]
) -> Array:
    """Losses and numbers of hidden pieces of each row, float32 [2, B]."""
    hidden = masking.mask_batch(
        EVALUATION_MASKING, batch, special=special, vocab_size=pieces, seed=EVALUATION_SEED
    )
    logits_BKV = model.apply(cfg, params, hidden)["masked_lm_logits"]
    nll_BK, _ = nll_of(logits_BKV.astype(jnp.float32), hidden["predict_labels"])
    weights_BK = hidden["predict_weights"]
    return jnp.stack([(nll_BK * weights_BK).sum(axis=1), weights_BK.sum(axis=1)])
