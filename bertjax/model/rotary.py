"""Rotary positions: pairs of a query's or key's numbers are turned by an angle of its position.

Scores then depend on how far apart two tokens are (Su et al. 2021, section 3.2). Pairs are m and
m + H/2, as transformers has them; the paper's are 2m and 2m + 1, the same after a permutation.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

Rotation = tuple[Array, Array]  # cosine and sine, float32 [B, T, 1, H/2]


def rotation(positions_BT: Array, head_size: int, base: float) -> Rotation:
    """Angles position · base^(−2m/H) for m below H/2."""
    exponents = jnp.arange(0, head_size, 2, dtype=jnp.float32) / head_size
    angles = positions_BT[..., None, None].astype(jnp.float32) / base**exponents
    return jnp.cos(angles), jnp.sin(angles)


def rotate(x_BTNH: Array, by: Rotation) -> Array:
    """Turn each pair, in float32; what comes out has the dtype of x."""
    cosine, sine = by
    a, b = jnp.split(x_BTNH.astype(jnp.float32), 2, axis=-1)
    turned = jnp.concatenate([a * cosine - b * sine, b * cosine + a * sine], axis=-1)
    return turned.astype(x_BTNH.dtype)
