"""Products with float32 results: autodiff's gradients, in the type of the operands."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bertjax.model.product import float32_product


@pytest.mark.parametrize(
    ("subscripts", "a_shape", "b_shape"),
    [("RD,VD->RV", (5, 8), (7, 8)), ("BTNH,BSNH->BNTS", (2, 4, 3, 8), (2, 5, 3, 8))],
)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_gradients_are_those_of_einsum_in_the_type_of_the_operands(
    subscripts, a_shape, b_shape, dtype
):
    generator = np.random.default_rng(0)
    a, b = (jnp.asarray(generator.normal(size=s), dtype) for s in (a_shape, b_shape))
    found, pull = jax.vjp(lambda a, b: float32_product(subscripts, a, b), a, b)
    wanted, wanted_pull = jax.vjp(
        lambda a, b: jnp.einsum(subscripts, a, b), a.astype("float32"), b.astype("float32")
    )
    assert found.dtype == "float32"
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-6)
    d = jnp.asarray(generator.normal(size=found.shape), jnp.float32)
    for ours, theirs in zip(pull(d), wanted_pull(d), strict=True):
        assert ours.dtype == dtype
        tolerance = 1e-6 if dtype == "float32" else 3e-2
        np.testing.assert_allclose(np.float32(ours), theirs, rtol=tolerance, atol=tolerance)
