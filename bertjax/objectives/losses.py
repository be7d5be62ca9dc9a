"""Losses as sums and counts: a mean is only right once the whole batch has been counted."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array


class Mean(NamedTuple):
    """A mean in the making: scalars added up over rows, micro-batches and devices; float32."""

    total: Array
    weight: Array  # what it is divided by in the end

    def value(self) -> Array:
        """Zero over nothing is zero."""
        return self.total / jnp.maximum(self.weight, 1.0)


def cross_entropy(name: str, logits: Array, labels: Array, weights: Array) -> dict[str, Mean]:
    """`{name}_loss` (nats) and `{name}_accuracy`: [..., C] and, of each place, label and weight."""
    nll, correct = nll_of(logits.astype(jnp.float32), labels)
    weight = jnp.sum(weights)
    return {
        f"{name}_loss": Mean(jnp.sum(nll * weights), weight),
        f"{name}_accuracy": Mean(jnp.sum(correct * weights), weight),
    }


def z_loss(logits: Array, weights: Array) -> Mean:
    """log² of the softmax's sum: [..., C] and the weight of each place.

    It keeps logits from drifting off together, which the cross-entropy does not feel (Chowdhery et
    al. 2022, section 5).
    """
    log_sum = jax.nn.logsumexp(logits.astype(jnp.float32), axis=-1)
    return Mean(jnp.sum(log_sum**2 * weights), jnp.sum(weights))


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
