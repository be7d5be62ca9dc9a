"""Every backend against plain softmax attention with an explicit mask, and who may run what.

Kernels run in interpret mode here; benchmarks/attention.py does the same on a real device.
"""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bertjax.config import MeshConfig
from bertjax.errors import UserError
from bertjax.model.attention import Call, attend, choose
from bertjax.sharding import make_mesh

B, T, N, H = 2, 128, 2, 64
SEGMENTS = {
    "full": np.ones((B, T), np.int32),
    "padded": (np.arange(T) < np.array([[100], [37]])).astype(np.int32),
    "packed": np.stack([np.repeat([1, 2, 3, 0], [50, 1, 60, 17]), np.repeat([1, 2], 64)]).astype(
        np.int32
    ),
}
WINDOW = (9, 17)
CAUSAL = (None, 0)


def oracle(q, k, v, segments, window):
    """Float64 softmax over the keys that a query may see, one query at a time."""
    out = np.zeros(q.shape)
    for b, t, n in itertools.product(range(B), range(T), range(N)):
        if segments[b, t] == 0:
            continue
        sees = segments[b] == segments[b, t]
        if window is not None:
            left, right = (T if side is None else side for side in window)
            ahead = np.arange(T) - t
            sees &= (ahead >= -left) & (ahead <= right)
        scores = k[b, sees, n] @ q[b, t, n] / H**0.5
        weights = np.exp(scores - scores.max())
        out[b, t, n] = weights / weights.sum() @ v[b, sees, n]
    return out


@pytest.fixture(scope="module")
def qkv():
    return np.random.default_rng(0).normal(size=(3, B, T, N, H)).astype(np.float32)


def call(backend, rows, window=None):
    return Call("tpu" if backend == "splash" else "gpu", "float32", T, H, rows, window)


CASES = [
    (backend, rows, window)
    for backend in ("reference", "local", "triton", "splash")
    for rows in SEGMENTS
    for window in (None, WINDOW, CAUSAL)
    if not (backend == "triton" and window)
    if not (backend == "local" and window != WINDOW)
]


@pytest.mark.parametrize(("backend", "rows", "window"), CASES)
def test_forward_and_gradient_equal_the_reference(backend, rows, window, qkv):
    assert choose(backend, call(backend, rows, window))[0] == backend
    segments = SEGMENTS[rows]
    real = (segments != 0)[:, :, None, None]
    probe = np.random.default_rng(1).normal(size=(B, T, N, H)).astype(np.float32)

    def run(backend, segments):
        def loss(q, k, v):
            mixed = attend(
                q, k, v, segments, backend=backend, rows=rows, window=window, interpret=True
            )
            return jnp.sum(mixed * probe * real), mixed

        return jax.jit(jax.grad(loss, argnums=(0, 1, 2), has_aux=True))(*qkv)

    grads, mixed = run(backend, segments)
    np.testing.assert_allclose(mixed * real, oracle(*qkv, segments, window) * real, atol=2e-5)
    assert np.isfinite(mixed).all()
    expected, _ = run("reference", segments)
    for name, ours, theirs in zip("qkv", grads, expected, strict=True):
        np.testing.assert_allclose(ours * real, theirs * real, atol=5e-5, err_msg=name)


@pytest.mark.parametrize("backend", ["reference", "triton", "splash"])
def test_nothing_leaks_between_segments(backend, qkv):
    segments = SEGMENTS["packed"]
    run = jax.jit(
        lambda q, k, v: attend(q, k, v, segments, backend=backend, rows="packed", interpret=True)
    )
    before = run(*qkv)
    moved = qkv + 100.0 * (segments == 2)[None, :, :, None, None]
    after = run(*moved)
    untouched = (segments == 1) | (segments == 3)
    np.testing.assert_array_equal(before[untouched], after[untouched])
    assert not np.allclose(before[segments == 2], after[segments == 2])


@pytest.mark.mesh
@pytest.mark.parametrize("backend", ["triton", "splash"])
def test_on_a_mesh_each_device_runs_its_own_rows_and_heads(backend, qkv):
    mesh = make_mesh(MeshConfig(data=2, fsdp=1, tensor=2), jax.devices()[:4])
    options = {"backend": backend, "rows": "packed", "interpret": True}
    alone = jax.jit(lambda q, k, v, s: attend(q, k, v, s, **options))
    expected = alone(*qkv, SEGMENTS["packed"])
    with jax.set_mesh(mesh):
        shared = jax.jit(lambda q, k, v, s: attend(q, k, v, s, **options))
        found = shared(*qkv, SEGMENTS["packed"])
    assert len(found.sharding.device_set) == 4
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("rows", ["full", "padded"])
def test_cudnn_is_asked_for_the_same_by_lengths(rows, qkv, monkeypatch):
    """There is no cuDNN here: JAX's own implementation of the same call answers instead."""
    plain = jax.nn.dot_product_attention

    def answer(*args, implementation, **options):
        assert implementation == "cudnn"
        assert "mask" not in options and "bias" not in options  # either would cost twice the time
        return plain(*args, implementation="xla", **options)

    monkeypatch.setattr(jax.nn, "dot_product_attention", answer)
    segments = SEGMENTS[rows]
    real = (segments != 0)[:, :, None, None]
    found = attend(*map(jnp.asarray, qkv), jnp.asarray(segments), backend="cudnn", rows=rows)
    np.testing.assert_allclose(found * real, oracle(*qkv, segments, None), atol=2e-5)


@pytest.mark.parametrize(
    ("platform", "changes", "expected"),
    [
        ("cpu", {}, "reference"),
        ("gpu", {}, "cudnn"),
        ("gpu", {"rows": "packed"}, "triton"),
        ("gpu", {"rows": "packed", "seq_len": 192}, "reference"),
        ("gpu", {"dtype": "float32"}, "triton"),
        ("gpu", {"drops": True}, "reference"),
        ("gpu", {"window": WINDOW}, "local"),
        ("gpu", {"window": CAUSAL}, "reference"),
        ("cpu", {"window": WINDOW}, "local"),
        ("cpu", {"window": WINDOW, "seq_len": 64}, "reference"),
        ("tpu", {}, "splash"),
        ("tpu", {"rows": "packed", "window": WINDOW}, "splash"),
        ("tpu", {"seq_len": 100}, "reference"),
        ("tpu", {"drops": True}, "reference"),
    ],
)
def test_auto_takes_the_fastest_that_is_right(platform, changes, expected):
    settings = {"dtype": "bfloat16", "seq_len": 512, "head_size": 64, "rows": "full"} | changes
    backend, why = choose("auto", Call(platform, **settings))
    assert backend == expected
    assert why


@pytest.mark.parametrize("backend", ["cudnn", "triton", "splash"])
def test_a_kernel_on_the_wrong_device_is_refused_with_what_works(backend):
    with pytest.raises(UserError, match=r"not on cpu: use train\.attention=reference"):
        choose(backend, Call("cpu", "bfloat16", 128, 64, "full"))


@pytest.mark.parametrize(("length", "window"), [(129, (9, 17)), (150, (40, 3)), (200, (0, 33))])
def test_blocks_of_a_window_are_the_reference_whatever_the_lengths(length, window):
    draw = np.random.default_rng(length)
    q, k, v = draw.normal(size=(3, 2, length, 1, 8)).astype(np.float32)
    segments = np.stack([np.arange(length) // 61 + 1, (np.arange(length) < 100) * 1])
    ours, plain = (
        attend(q, k, v, segments, backend=backend, rows="packed", window=window)
        for backend in ("local", "reference")
    )
    real = segments != 0
    np.testing.assert_allclose(ours[real], plain[real], atol=1e-6)
