"""Each optimizer against PyTorch or a plain loop of the published update, over ten steps."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tiny_model import MODEL, by_path

from bertjax import model
from bertjax.config import OptimConfig
from bertjax.facts import GROUPS
from bertjax.optim import optimizers
from bertjax.optim.schedules import learning_rate

STEPS = 10
SHAPES = {
    "embeddings/word_embeddings/embedding": (12, 8),
    "embeddings/norm/scale": (8,),
    "layer_0/attention/query/kernel": (8, 8),
    "layer_0/attention/query/bias": (8,),
    "layer_0/feed_forward/intermediate/kernel": (8, 24),
    "layer_0/feed_forward/output/kernel": (24, 8),
    "layer_1/attention/query/kernel": (8, 8),
    "layer_1/feed_forward/output/kernel": (24, 8),
    "masked_lm/transform/kernel": (8, 8),
    "masked_lm/bias": (12,),
}
DECAYED = [name for name in SHAPES if not name.endswith(("bias", "scale"))]
BLOCK_MATRICES = [name for name in SHAPES if name.startswith("layer_") and name in DECAYED]
Arrays = dict[str, np.ndarray]
Rule = Callable[[Arrays, Arrays, float], None]  # (parameters, gradients, rate): updates in place


def draw(seed: int, scale: float = 1.0) -> Arrays:
    """An array for every shape; the gradients of the last entries are zero, as padding's are."""
    generator = np.random.default_rng(seed)
    arrays = {n: (scale * generator.normal(size=s)).astype(np.float32) for n, s in SHAPES.items()}
    arrays["embeddings/word_embeddings/embedding"][-2:] = 0
    return arrays


def tree(arrays: Arrays) -> dict:
    """A parameter tree from a dict of paths."""
    result: dict = {}
    for name, array in arrays.items():
        *parents, leaf = name.split("/")
        node = result
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = jnp.asarray(array)
    return result


def gradients() -> list[Arrays]:
    """Of ten steps, some above and some below a norm of 1."""
    return [draw(seed, scale=0.02 + 0.1 * (seed % 3)) for seed in range(1, STEPS + 1)]


def ours(cfg: OptimConfig, steps: int = STEPS) -> Arrays:
    """Parameters after the package's optimizer took `steps` of those gradients."""
    rule = optimizers.optimizer(cfg, STEPS, model.describe(MODEL))
    params = tree(draw(0))
    state = rule.init(params)

    @jax.jit
    def step(params, state, grads):
        updates, state = rule.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    for grads in gradients()[:steps]:
        params, state = step(params, state, tree(grads))
    return by_path(params)


def theirs(cfg: OptimConfig, rule: Rule) -> Arrays:
    """Parameters after a plain float64 rule took the same."""
    params = {name: array.astype(np.float64) for name, array in draw(0).items()}
    for step, grads in enumerate(gradients()):
        wide = {name: array.astype(np.float64) for name, array in grads.items()}
        if cfg.clip_norm:
            norm = np.sqrt(sum((g**2).sum() for g in wide.values()))
            wide = {name: g * min(1.0, cfg.clip_norm / norm) for name, g in wide.items()}
        rule(params, wide, float(learning_rate(cfg, STEPS)(step)))
    return params


def assert_close(a: Arrays, b: Arrays, tolerance: float = 2e-6) -> None:
    for name in SHAPES:
        np.testing.assert_allclose(a[name], b[name], atol=tolerance, rtol=0, err_msg=name)


class Moments:
    """m and v of every parameter, and m / (√v + eps), with or without bias correction."""

    def __init__(self, cfg: OptimConfig):
        self.cfg, self.taken = cfg, 0
        self.m: Arrays = {name: np.zeros(shape) for name, shape in SHAPES.items()}
        self.v: Arrays = {name: np.zeros(shape) for name, shape in SHAPES.items()}

    def update(self, grads: Arrays) -> Arrays:
        cfg, result = self.cfg, {}
        self.taken += 1
        for name, g in grads.items():
            self.m[name] = cfg.b1 * self.m[name] + (1 - cfg.b1) * g
            self.v[name] = cfg.b2 * self.v[name] + (1 - cfg.b2) * g**2
            m, v = self.m[name], self.v[name]
            if cfg.bias_correction:
                m, v = m / (1 - cfg.b1**self.taken), v / (1 - cfg.b2**self.taken)
            result[name] = m / (np.sqrt(v) + cfg.eps)
        return result


def test_adamw_with_bias_correction_is_pytorchs():
    torch = pytest.importorskip("torch")
    cfg = OptimConfig(learning_rate=1e-2, bias_correction=True, clip_norm=0.0, weight_decay=0.1)
    tensors = {name: torch.nn.Parameter(torch.tensor(a)) for name, a in draw(0).items()}
    groups = [
        {"params": [t for n, t in tensors.items() if n in DECAYED], "weight_decay": 0.1},
        {"params": [t for n, t in tensors.items() if n not in DECAYED], "weight_decay": 0.0},
    ]
    adamw = torch.optim.AdamW(groups, lr=1.0, betas=(cfg.b1, cfg.b2), eps=cfg.eps)
    for step, grads in enumerate(gradients()):
        for name, tensor in tensors.items():
            tensor.grad = torch.tensor(grads[name])
        for group in adamw.param_groups:
            group["lr"] = float(learning_rate(cfg, STEPS)(step))
        adamw.step()
    assert_close(ours(cfg), {name: t.detach().numpy() for name, t in tensors.items()})


def test_a_layer_that_joins_later_is_pytorchs_that_had_no_gradient_before():
    """Also where the step in which it joins is left out, as it is not finite."""
    torch = pytest.importorskip("torch")
    cfg = OptimConfig(learning_rate=1e-2, bias_correction=True)
    late, joins, left_out = {name for name in SHAPES if name.startswith("layer_0")}, 6, 6
    tensors = {name: torch.nn.Parameter(torch.tensor(a)) for name, a in draw(0).items()}
    adam = torch.optim.Adam(tensors.values(), lr=1e-2, betas=(cfg.b1, cfg.b2), eps=cfg.eps)
    params = tree(draw(0))
    state = optimizers.scale_by_adam(cfg, lambda path: 1).init(params)

    @jax.jit
    def step(params, state, grads, number):
        def moves(path):
            return (number >= joins).astype(jnp.int32) if path in late else 1

        rule = optimizers.scale_by_adam(cfg, moves)
        finite = number != left_out
        updates, state = rule.update(grads, state, params, finite=finite)
        return jax.tree.map(lambda p, u: p - 1e-2 * u * finite, params, updates), state

    for number, grads in enumerate(gradients()):
        still = late if number < joins else set()
        given = {name: 0 * a if name in still else a for name, a in grads.items()}
        params, state = step(params, state, tree(given), number)
        if number != left_out:
            for name, tensor in tensors.items():
                tensor.grad = None if name in still else torch.tensor(grads[name])
            adam.step()
    assert_close(by_path(params), {name: t.detach().numpy() for name, t in tensors.items()})


@pytest.mark.parametrize("clip_norm", [0.0, 1.0])
def test_adam_without_bias_correction_is_berts(clip_norm):
    """google-research/bert optimization.py: AdamWeightDecayOptimizer.apply_gradients."""
    cfg = OptimConfig(learning_rate=1e-2, clip_norm=clip_norm, weight_decay=0.1)
    moments = Moments(cfg)

    def rule(params: Arrays, grads: Arrays, rate: float) -> None:
        for name, update in moments.update(grads).items():
            if name in DECAYED:
                update = update + cfg.weight_decay * params[name]
            params[name] -= rate * update

    assert_close(ours(cfg), theirs(cfg, rule))


def test_lamb_is_alberts():
    """google-research/albert lamb_optimizer.py: ratio of norms where the weight is decayed."""
    cfg = OptimConfig("lamb", learning_rate=1e-2, weight_decay=0.1)
    moments = Moments(cfg)

    def rule(params: Arrays, grads: Arrays, rate: float) -> None:
        for name, update in moments.update(grads).items():
            ratio = 1.0
            if name in DECAYED:
                update = update + cfg.weight_decay * params[name]
                w, r = np.linalg.norm(params[name]), np.linalg.norm(update)
                ratio = w / r if w > 0 and r > 0 else 1.0
            params[name] -= rate * ratio * update

    assert_close(ours(cfg), theirs(cfg, rule))


def test_muon_orthogonalises_block_matrices_at_adams_rms():
    """The first update against the polar factor of the gradient, which an SVD gives exactly."""
    cfg = OptimConfig("muon", learning_rate=1e-2, weight_decay=0.0, clip_norm=0.0)
    before, after, grads = draw(0), ours(cfg, steps=1), gradients()[0]
    for name in BLOCK_MATRICES:
        update = (before[name] - after[name]) / float(learning_rate(cfg, STEPS)(0))
        u, _, v = np.linalg.svd(grads[name], full_matrices=False)
        alignment = (update * (u @ v)).sum() / np.linalg.norm(update) / np.linalg.norm(u @ v)
        assert alignment > 0.97, name
        singular = np.linalg.svd(update, compute_uv=False) / (0.2 * max(update.shape) ** 0.5)
        assert singular.min() > 0.5 and singular.max() < 1.3, name
        assert np.sqrt((update**2).mean()) == pytest.approx(0.2, rel=0.2), name


@pytest.mark.parametrize("bias_correction", [False, True])
def test_muon_leaves_the_rest_to_a_slower_adam(bias_correction):
    cfg = OptimConfig("muon", learning_rate=1e-2, weight_decay=0.1, bias_correction=bias_correction)
    moments = Moments(cfg)

    def rule(params: Arrays, grads: Arrays, rate: float) -> None:
        for name, update in moments.update(grads).items():
            if name in DECAYED:
                update = update + cfg.weight_decay * params[name]
            params[name] -= cfg.muon_adam_ratio * rate * update

    a, b = ours(cfg), theirs(cfg, rule)
    for name in SHAPES.keys() - set(BLOCK_MATRICES):
        np.testing.assert_allclose(a[name], b[name], atol=2e-6, rtol=0, err_msg=name)


def test_adams_part_of_muon_is_adamw_at_that_share_of_the_learning_rate():
    """Decay included, so one number scales all that is done to a parameter."""
    # A clipped norm would be that of all gradients, and so the same for both; decay is the point.
    muon = OptimConfig("muon", learning_rate=1e-2, weight_decay=0.5, muon_adam_ratio=0.25)
    a, b = ours(muon), ours(OptimConfig(learning_rate=0.25e-2, weight_decay=0.5))
    c = ours(OptimConfig("muon", learning_rate=1e-2, weight_decay=0.0, muon_adam_ratio=0.25))
    for name in SHAPES.keys() - set(BLOCK_MATRICES):
        np.testing.assert_allclose(a[name], b[name], atol=1e-6, rtol=0, err_msg=name)
    for name in BLOCK_MATRICES:  # decayed by the whole learning rate
        assert np.abs(a[name]).sum() < (1 - 0.02) * np.abs(c[name]).sum()


@pytest.mark.parametrize("optimizer", ["adamw", "lamb", "muon"])
def test_rows_that_are_zero_and_get_no_gradient_stay_zero(optimizer):
    after = ours(OptimConfig(optimizer, learning_rate=0.1, weight_decay=0.1))
    assert not after["embeddings/word_embeddings/embedding"][-2:].any()


def test_every_parameter_says_its_group():
    facts = model.describe(MODEL)
    assert facts.keys() == by_path(model.abstract_params(MODEL)).keys()
    assert {one.group for one in facts.values()} == set(GROUPS)
    blocks = [path for path, one in facts.items() if one.group == "block_matrix"]
    assert len(blocks) == 6 * MODEL.num_layers
    assert facts["masked_lm/bias"].group == facts["embeddings/norm/scale"].group == "vector"
    assert facts["embeddings/position_embeddings/embedding"].group == "table"
    assert facts["masked_lm/transform/kernel"].group == "matrix"
