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
    nll, correct = nll_of(logits.astype(jnp.float32), labels)
    return Sums(jnp.sum(nll * weights), jnp.sum(correct * weights), jnp.sum(weights))


@jax.custom_vjp
def nll_of(logits: Array, labels: Array) -> tuple[Array, Array]:
    """-log softmax at the label, and whether nothing beats it, which spares an argmax.

    Its gradient, softmax − one-hot, is one pass over the logits. Autodiff makes a scatter, a
    product and a sum of it, each of which goes through all float32 logits by itself.
    """
    return _nll_forward(logits, labels)[0]


def _nll_forward(logits, labels):
    at_label = jnp.take_along_axis(logits, labels[..., None], axis=-1)[..., 0]
    total = jax.nn.logsumexp(logits, axis=-1)
    return (total - at_label, at_label >= jnp.max(logits, axis=-1)), (logits, labels, total)


def _nll_backward(kept, cotangents):
    logits, labels, total = kept
    one_hot = labels[..., None] == jnp.arange(logits.shape[-1])
    d_logits = (jnp.exp(logits - total[..., None]) - one_hot) * cotangents[0][..., None]
    return d_logits, None


nll_of.defvjp(_nll_forward, _nll_backward)
