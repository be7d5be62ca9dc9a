"""Layer norm, forward and backward, against PyTorch's in float64."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bertjax.model.norm import norm


def draw(shape: tuple[int, ...]) -> list[np.ndarray]:
    """x far from zero, scale, bias and the gradient of the result."""
    generator = np.random.default_rng(0)
    x = 3 + 2 * generator.normal(size=shape)
    vectors = generator.normal(size=(2, shape[-1]))
    return [array.astype(np.float32) for array in (x, *vectors, generator.normal(size=shape))]


@pytest.mark.parametrize("kind", ["layer", "rms"])
@pytest.mark.parametrize("shape", [(5, 16), (2, 3, 48)])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 2e-6), ("bfloat16", 2e-2)])
def test_norms_and_their_gradients_are_pytorchs(kind, shape, dtype, tolerance):
    torch = pytest.importorskip("torch")
    x, scale, bias, d = draw(shape)
    x, d = (np.asarray(jnp.asarray(array, dtype), np.float32) for array in (x, d))
    inputs = [torch.tensor(array).double().requires_grad_() for array in (x, scale, bias)]
    if kind == "layer":
        wanted = torch.nn.functional.layer_norm(inputs[0], shape[-1:], *inputs[1:], eps=1e-5)
    else:
        wanted = torch.nn.functional.rms_norm(inputs[0], shape[-1:], inputs[1], eps=1e-5)
        wanted = wanted + inputs[2]
    wanted.backward(torch.tensor(d).double())

    narrow = jnp.asarray(x, dtype)
    found, pull = jax.vjp(lambda *v: norm(*v, 1e-5, dtype, kind == "layer"), narrow, scale, bias)
    d_x, d_scale, d_bias = pull(jnp.asarray(d, dtype))
    assert found.dtype == d_x.dtype == dtype and d_scale.dtype == d_bias.dtype == "float32"
    pairs = ((found, wanted.detach()), (d_x, inputs[0].grad))
    for ours, theirs in pairs:
        np.testing.assert_allclose(np.float32(ours), theirs, atol=tolerance, rtol=tolerance)
    # Sums over rows of float32 products, whatever the type of the activations.
    np.testing.assert_allclose(d_scale, inputs[1].grad, atol=1e-5, rtol=1e-5)
    np.testing.assert_allclose(d_bias, inputs[2].grad, atol=1e-5, rtol=1e-5)


def test_the_gradient_of_a_constant_row_is_finite():
    x, scale, bias, d = draw((4, 8))
    pull = jax.vjp(lambda x: norm(x, scale, bias, 1e-12, "float32", True), jnp.ones_like(x))[1]
    assert np.isfinite(pull(d)[0]).all()
