"""What one pretraining step optimises: masked LM, and the next-sentence loss if it is on."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import Array

from bertjax import model
from bertjax.config import PretrainConfig
from bertjax.objectives import losses
from bertjax.objectives.losses import Sums


def targets(cfg: PretrainConfig, batch: dict[str, Array]) -> dict[str, Array]:
    """Count what a masked batch asks for: the denominators of `loss`, over the whole batch."""
    counts = {"masked_lm": jnp.sum(batch["predict_weights"])}
    if cfg.predicts_pairs:
        counts["next_sentence"] = jnp.sum(batch["pair_labels"] >= 0).astype(jnp.float32)
    return counts


def loss(
    cfg: PretrainConfig,
    params: model.Params,
    batch: dict[str, Array],
    counts: dict[str, Array],
    compute: model.Compute,
    key: Array | None,
) -> tuple[Array, dict[str, Sums]]:
    """The loss of a (micro-)batch as its share of the whole batch's loss.

    Args:
        cfg: the run.
        params: the model's parameters.
        batch: masked, from `masking.mask_batch`.
        counts: `targets` of the whole batch: every objective's sum is divided by its global
            count, so micro-batches and devices add up to the exact mean.
        compute: how the model is computed.
        key: dropout key, or None.

    Returns:
        The scalar to differentiate, and the sums of each objective for the log.
    """
    outputs = model.apply(cfg.model, params, batch, compute=compute, key=key)
    sums = objective_sums(outputs, batch, cfg.predicts_pairs)
    total = sum(s.nll / jnp.maximum(counts[name], 1.0) for name, s in sums.items())
    return jnp.asarray(total), sums


def objective_sums(
    outputs: dict[str, Any], batch: dict[str, Array], with_next_sentence: bool
) -> dict[str, Sums]:
    """Sums of every objective, by name."""
    sums = {
        "masked_lm": losses.masked_lm(
            outputs["masked_lm_logits"], batch["predict_labels"], batch["predict_weights"]
        )
    }
    if with_next_sentence:
        sums["next_sentence"] = losses.next_sentence(
            outputs["next_sentence_logits"], batch["pair_labels"]
        )
    return sums
