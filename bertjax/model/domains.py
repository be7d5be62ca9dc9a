"""Which kind a row is of, told from its state, and a gradient that makes that harder to tell."""

from __future__ import annotations

import jax
from flax import nnx
from jax import Array

from bertjax.config import ModelConfig
from bertjax.facts import made_as
from bertjax.model import layers

DISCRIMINATOR = "discriminator"  # the part of a model; no run keeps it once it is trained


@jax.custom_vjp
def reversed_gradient(x: Array, strength: Array) -> Array:
    """`x` as it is; its gradient is that of the output times −`strength`, a scalar.

    Ganin & Lempitsky (2015), equations 11 and 12.
    """
    del strength
    return x


def _forward(x, strength):
    return x, strength


def _backward(strength, gradient):
    return -strength * gradient, None


reversed_gradient.defvjp(_forward, _backward)


class Discriminator(nnx.Module):
    """A hidden layer with ReLU, and a logit: positive for a labelled row."""

    def __init__(self, cfg: ModelConfig, width: int, rngs: nnx.Rngs):
        matrix, dtype = made_as("matrix"), jax.numpy.float32
        self.hidden = layers.dense(cfg, cfg.hidden_size, width, dtype, rngs, matrix)
        self.output = layers.dense(cfg, width, 1, dtype, rngs, matrix)

    def __call__(self, features_BD: Array, strength: Array) -> Array:
        """[B, D] -> logits [B]; what it learns is taken off the features, times `strength`."""
        x_BD = reversed_gradient(features_BD, strength)
        return self.output(jax.nn.relu(self.hidden(x_BD)))[:, 0]
