"""Between the hidden states and the logits of a task: fusion, sequence layer, classifier, CRF."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from jax.typing import DTypeLike

from bertjax.config import HeadConfig, ModelConfig
from bertjax.facts import VECTOR, made_as
from bertjax.model import layers
from bertjax.model.crf import CRF, TagRules
from bertjax.model.dropout import dropout
from bertjax.model.sequence import CNN, BiLSTM


class ScalarMix(nnx.Module):
    """γ Σ softmax(w)ₗ hₗ, a weighted mean of layers (Peters et al. 2018, equation 1)."""

    def __init__(self, count: int):
        self.weights = nnx.Param(jnp.zeros(count), **VECTOR)
        self.gamma = nnx.Param(jnp.ones(()), **VECTOR)

    def __call__(self, states: Sequence[Array]) -> Array:
        """`count` arrays [B, T, D] -> [B, T, D]."""
        share_L = self.gamma[...] * jax.nn.softmax(self.weights[...])
        mixed = jnp.einsum("LBTD,L->BTD", jnp.stack(states), share_L.astype(states[0].dtype))
        return mixed


class TaskHead(nnx.Module):
    """All new parameters of a task; `features` and `classify` are its two halves.

    What lies between them, choosing places and pooling, has no parameters of its own but BERT's
    pooler, which belongs to the pretrained model.
    """

    def __init__(
        self,
        cfg: ModelConfig,
        head: HeadConfig,
        outputs: int,
        rules: TagRules | None,
        dtype: DTypeLike,
        rngs: nnx.Rngs,
    ):
        self.cfg = head
        width = cfg.hidden_size * (head.fusion_layers if head.fusion == "concat" else 1)
        if head.fusion == "scalar_mix":
            self.mix = ScalarMix(head.fusion_layers)
        if head.sequence == "bilstm":
            self.lstm = BiLSTM(width, head.sequence_size, dtype, rngs)
        if head.sequence == "cnn":
            self.cnn = CNN(width, head.sequence_size, dtype, rngs)
        width = width if head.sequence == "none" else head.sequence_size
        self.classifier = layers.dense(
            cfg, width, outputs, jnp.float32, rngs, made_as("matrix"), bias=head.bias
        )
        if head.crf:
            self.crf = CRF(outputs, rules)

    def features(self, states: Sequence[Array], real_BT: Array) -> Array:
        """The hidden states to fuse, each [B, T, D], -> [B, T, width of the classifier's input].

        Without fusion `states` is the last one alone. `real_BT` is False for padding.
        """
        if self.cfg.fusion == "scalar_mix":
            x_BTD = self.mix(states)
        elif self.cfg.fusion == "mean":
            x_BTD = sum(states[1:], states[0]) / len(states)
        else:
            x_BTD = jnp.concatenate(states, axis=-1)
        if self.cfg.sequence == "bilstm":
            return self.lstm(x_BTD, real_BT)
        if self.cfg.sequence == "cnn":
            return self.cnn(x_BTD, real_BT)
        return x_BTD

    def classify(self, x: Array, key: Array | None) -> Array:
        """Dropout and the last layer: [..., width] -> float32 logits [..., outputs]."""
        x = dropout(x, self.cfg.dropout, key)
        return self.classifier(x.astype(jnp.float32))


def pool(kind: str, x_BTD: Array, real_BT: Array) -> Array:
    """One state a row, [B, D]: the first one, the last real one, or their mean in float32."""
    if kind in ("mean", "pooled_mean"):
        return mean_pool(x_BTD, real_BT)
    if kind == "cls":
        return x_BTD[:, 0]
    last_B1 = jnp.maximum(jnp.sum(real_BT, axis=1, keepdims=True) - 1, 0)
    return jnp.take_along_axis(x_BTD, last_B1[:, :, None], axis=1)[:, 0]


def mean_pool(x_BTD: Array, real_BT: Array) -> Array:
    """Mean over the real tokens of each row, [B, D] in float32; zero where there are none."""
    total_BD = jnp.einsum(
        "BTD,BT->BD", x_BTD, real_BT.astype(x_BTD.dtype), preferred_element_type=jnp.float32
    )
    return total_BD / jnp.maximum(jnp.sum(real_BT, axis=1, keepdims=True), 1)
