"""How far apart the states of two kinds of rows are, and how well they can be told apart.

A row has a weight of 1, or of 0 where it only fills a batch.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

WIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)  # of the kernels, in mean squared distances


def squared_mmd(x: Array, y: Array, real_x: Array, real_y: Array) -> Array:
    """The unbiased estimate of MMD² (Gretton et al. 2012, equation 3), a scalar that may be < 0.

    The kernel is Σ exp(−‖a − b‖² / w) over `WIDTHS` of the mean squared distance of two different
    rows of either kind, which is taken as a constant.

    Args:
        x: float32 [n, D].
        y: float32 [m, D].
        real_x: weights float32 [n]; of fewer than two rows no pairs are counted.
        real_y: weights float32 [m].
    """
    both, real = jnp.concatenate([x, y]), jnp.concatenate([real_x, real_y])
    distances = squared_distances(jax.lax.stop_gradient(both))
    mean = _mean_of_pairs(distances, real)
    kernel = gaussian_kernel(squared_distances(both), jnp.maximum(mean, 1e-12))
    return unbiased(kernel, real_x, real_y)


def squared_distances(rows: Array) -> Array:
    """[n, D] -> [n, n], by differences, as products would lose what near rows differ by."""
    return jnp.sum((rows[:, None] - rows[None]) ** 2, axis=-1)


def gaussian_kernel(distances: Array, mean: Array) -> Array:
    """Σ exp(−d / (w · `mean`)) over `WIDTHS`, of every squared distance d."""
    widths = jnp.array(WIDTHS).reshape(-1, *(1,) * distances.ndim) * mean
    return jnp.sum(jnp.exp(-distances[None] / widths), axis=0)


def unbiased(kernel: Array, real_x: Array, real_y: Array) -> Array:
    """MMD² from the kernel [n + m, n + m] of all pairs, the x first."""
    n = len(real_x)
    between = jnp.sum(kernel[:n, n:] * real_x[:, None] * real_y[None])
    between /= jnp.maximum(jnp.sum(real_x) * jnp.sum(real_y), 1.0)
    inside = _mean_of_pairs(kernel[:n, :n], real_x) + _mean_of_pairs(kernel[n:, n:], real_y)
    return inside - 2 * between


def _mean_of_pairs(values: Array, real: Array) -> Array:
    """The mean of [n, n] values over pairs of different real rows; of no pair it is 0."""
    n = jnp.sum(real)
    apart = real[:, None] * real[None] * (1 - jnp.eye(len(real)))
    return jnp.sum(values * apart) / jnp.maximum(n * (n - 1), 1.0)


def told_apart(logits_x: Array, logits_y: Array, real_x: Array, real_y: Array) -> Array:
    """Binary cross-entropy of logits [n] and [m], positive for x; either kind counts half.

    ln 2 where nothing can be told (Ganin et al. 2016, equation 9, with batches of both kinds).
    """
    x = jnp.sum(jax.nn.softplus(-logits_x) * real_x) / jnp.maximum(jnp.sum(real_x), 1.0)
    y = jnp.sum(jax.nn.softplus(logits_y) * real_y) / jnp.maximum(jnp.sum(real_y), 1.0)
    return (x + y) / 2


def reversal(progress: Array) -> Array:
    """2 / (1 + e^(−10p)) − 1, of the share p of a run (Ganin et al. 2016, section 5.2.2)."""
    return 2 / (1 + jnp.exp(-10 * progress)) - 1
