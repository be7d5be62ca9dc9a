"""Losses as sums and counts: a mean is only right once the whole batch has been counted."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array


class Sums(NamedTuple):
    """Scalars added up over rows, micro-batches and devices; float32."""

    nll: Array  # negative log-likelihood, in nats
    correct: Array
    weight: Array  # how many terms, by their weights

    def mean(self) -> dict[str, Array]:
        """`loss` in nats and `accuracy`; zero over nothing is zero."""
        count = jnp.maximum(self.weight, 1.0)
        return {"loss": self.nll / count, "accuracy": self.correct / count}


def masked_lm(logits_BKV: Array, labels_BK: Array, weights_BK: Array) -> Sums:
    """Cross-entropy of the K prediction slots; a slot of weight 0 counts for nothing.

    Label id 0 is a label like any other (google-research/bert run_pretraining.py).
    """
    return _cross_entropy(logits_BKV, labels_BK, weights_BK)


def next_sentence(logits_BM2: Array, labels_BM: Array) -> Sums:
    """Cross-entropy of the pair labels; label −1 marks a place without a pair."""
    weights = (labels_BM >= 0).astype(jnp.float32)
    return _cross_entropy(logits_BM2, jnp.maximum(labels_BM, 0), weights)


def _cross_entropy(logits: Array, labels: Array, weights: Array) -> Sums:
    logits = logits.astype(jnp.float32)
    at_label = jnp.take_along_axis(logits, labels[..., None], axis=-1)[..., 0]
    nll = jax.nn.logsumexp(logits, axis=-1) - at_label
    # The label is the winner if nothing beats it; spares an argmax over the vocabulary.
    correct = at_label >= jnp.max(logits, axis=-1)
    return Sums(jnp.sum(nll * weights), jnp.sum(correct * weights), jnp.sum(weights))
