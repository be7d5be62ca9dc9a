"""A product with a float32 result whose backward pass stays in the type of its operands."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def float32_product(subscripts: str, a: Array, b: Array) -> Array:
    """`jnp.einsum(subscripts, a, b)` in float32, for scores that a softmax follows.

    Autodiff would take the two backward products in float32, as their result is; accelerators do
    that at half the rate of bfloat16 or less. Every axis of an operand must be in the result or
    in the other operand.
    """
    return jnp.einsum(subscripts, a, b, preferred_element_type=jnp.float32)


def _forward(subscripts, a, b):
    return float32_product(subscripts, a, b), (a, b)


def _backward(subscripts, operands, d):
    a, b = operands
    inputs, result = subscripts.split("->")
    of_a, of_b = inputs.split(",")
    d = d.astype(a.dtype)
    return (
        jnp.einsum(f"{result},{of_b}->{of_a}", d, b),
        jnp.einsum(f"{result},{of_a}->{of_b}", d, a),
    )


float32_product.defvjp(_forward, _backward)
