"""Layers between the encoder and the head: a bidirectional LSTM, a convolution.

Axis letters as in `layers`, and S the width of the result, G = S/2 that of one direction. Padding
(segment 0, at the end of a row) is neither seen by real tokens nor given anything but zeros.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from jax.typing import DTypeLike

from bertjax.facts import VECTOR, made_as

_FACTS = {"kernel_metadata": made_as("matrix"), "bias_metadata": VECTOR}
FILTER_WIDTHS = (1, 3, 5)  # tokens; odd, so that a token is in the middle of its window


class Direction(nnx.Module):
    """Weights of an LSTM in one direction; gates in the order input, forget, cell, output.

    That is PyTorch's order, and the sum of its two biases is the one here. The forget gate begins
    open: its bias is 1 (Jozefowicz et al. 2015, section 5).
    """

    def __init__(self, fan_in: int, size: int, dtype: DTypeLike, rngs: nnx.Rngs):
        self.input = nnx.Linear(fan_in, 4 * size, dtype=dtype, rngs=rngs, **_FACTS)
        self.recurrent = nnx.Linear(
            size,
            4 * size,
            use_bias=False,
            dtype=dtype,
            kernel_init=nnx.initializers.orthogonal(),
            rngs=rngs,
            **_FACTS,
        )
        self.input.bias[...] = self.input.bias[...].at[size : 2 * size].set(1.0)


class BiLSTM(nnx.Module):
    """Both directions side by side (Hochreiter & Schmidhuber 1997; Graves & Schmidhuber 2005)."""

    def __init__(self, fan_in: int, width: int, dtype: DTypeLike, rngs: nnx.Rngs):
        self.dtype = dtype
        self.forward = Direction(fan_in, width // 2, dtype, rngs)
        self.backward = Direction(fan_in, width // 2, dtype, rngs)

    def __call__(self, x_BTD: Array, real_BT: Array) -> Array:
        """[B, T, D] and bool [B, T] -> [B, T, S]: states forwards, then backwards."""
        ways = (self.forward, self.backward)
        # The backward direction reads the row from its end. States stay zero through the padding
        # there, so it starts at the last real token without rows being moved.
        gates_TKBG = jnp.stack([way.input(x_BTD) for way in ways]).transpose(2, 0, 1, 3)
        gates_TKBG = jnp.stack([gates_TKBG[:, 0], gates_TKBG[::-1, 1]], axis=1)
        real_TKB1 = jnp.stack([real_BT.T, real_BT.T[::-1]], axis=1)[..., None]
        kernel_KGG = jnp.stack([way.recurrent.kernel[...] for way in ways]).astype(self.dtype)
        states_TKBG = _recur(gates_TKBG, real_TKB1, kernel_KGG)
        both = jnp.concatenate([states_TKBG[:, 0], states_TKBG[::-1, 1]], axis=-1)
        return both.swapaxes(0, 1).astype(self.dtype)


def _recur(gates_TKBG: Array, real_TKB1: Array, kernel_KGG: Array) -> Array:
    """Run K recurrences at once: gates [T, K, B, 4G] from the inputs -> states [T, K, B, G]."""
    _, K, B, width = gates_TKBG.shape
    zeros = jnp.zeros((K, B, width // 4))

    def step(carry, now):
        state, cell = carry
        gates, real = now
        recurrent = jnp.einsum(
            "KBG,KGH->KBH",
            state.astype(kernel_KGG.dtype),
            kernel_KGG,
            preferred_element_type=jnp.float32,
        )
        i, f, g, o = jnp.split(gates + recurrent, 4, axis=-1)
        cell = jax.nn.sigmoid(f) * cell + jax.nn.sigmoid(i) * jnp.tanh(g)
        state = jax.nn.sigmoid(o) * jnp.tanh(cell)
        state, cell = jnp.where(real, state, 0.0), jnp.where(real, cell, 0.0)
        return (state, cell), state

    return jax.lax.scan(step, (zeros, zeros), (gates_TKBG.astype(jnp.float32), real_TKB1))[1]


class CNN(nnx.Module):
    """Filters of three widths and a ReLU, each token in the middle of its window (Kim 2014).

    A filter of width w is a dense layer over w tokens end to end: kernel [w·D, S/3].
    """

    def __init__(self, fan_in: int, width: int, dtype: DTypeLike, rngs: nnx.Rngs):
        self.dtype = dtype
        for w in FILTER_WIDTHS:
            size = width // len(FILTER_WIDTHS)
            filters = nnx.Linear(w * fan_in, size, dtype=dtype, rngs=rngs, **_FACTS)
            setattr(self, f"width_{w}", filters)

    def __call__(self, x_BTD: Array, real_BT: Array) -> Array:
        """[B, T, D] and bool [B, T] -> [B, T, S]: narrow filters first."""
        B, T, D = x_BTD.shape
        x_BTD = jnp.where(real_BT[..., None], x_BTD, 0.0)
        found = []
        for w in FILTER_WIDTHS:
            padded = jnp.pad(x_BTD, ((0, 0), (w // 2, w // 2), (0, 0)))
            window = jnp.concatenate([padded[:, i : i + T] for i in range(w)], axis=-1)
            found.append(getattr(self, f"width_{w}")(window.reshape(B * T, w * D)))
        y_BTS = jax.nn.relu(jnp.concatenate(found, axis=-1)).reshape(B, T, -1)
        return jnp.where(real_BT[..., None], y_BTS, 0.0)
