"""Few weights in the layers of every member of the family: by hand, by published counts."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_model
from family import FAMILY
from flax import nnx

from bertjax.config import AdapterConfig, HeadConfig, LoraConfig, ModelConfig
from bertjax.errors import UserError
from bertjax.model.compute import EXACT
from bertjax.model.keys import Keys
from bertjax.model.task import TaskShape, abstract_task_params, apply_task, describe_task, init_task
from bertjax.model.tuning.bitfit import BitFit
from bertjax.model.tuning.choice import method_of
from bertjax.model.tuning.houlsby import Houlsby
from bertjax.model.tuning.lora import Lora, LowRank
from bertjax.model.tuning.pfeiffer import Pfeiffer
from bertjax.tree import flatten, unflatten

SHAPE, HEAD = TaskShape("classification", 2), HeadConfig(pooling="mean")
ALL = Lora(LoraConfig(rank=3, alpha=6.0, targets=("all",)))
METHODS = [ALL, Houlsby(AdapterConfig(4.0)), Pfeiffer(AdapterConfig(4.0)), BitFit()]
BASE = ModelConfig(vocab_size=30522)


def encoder(kind: str, **changes) -> ModelConfig:
    fields = {"hidden_dropout": 0.0, "attention_dropout": 0.0} | dict(FAMILY.get(kind, {}))
    small = replace(tiny_model.MODEL, next_sentence_head=False)
    return replace(small, **(fields | changes | {"next_sentence_head": False}))


def batch() -> dict[str, np.ndarray]:
    draw = np.random.default_rng(0)
    segments = (np.arange(8) < np.array([[8], [5]])).astype(np.int32)
    return {
        "tokens": draw.integers(5, tiny_model.VOCAB, (2, 8)).astype(np.int32),
        "token_types": np.zeros((2, 8), np.int32),
        "positions": np.tile(np.arange(8, dtype=np.int32), (2, 1)),
        "segments": segments,
    }


def logits(cfg, params, method=None, **options):
    """Operation by operation: XLA would round otherwise where it joins other ones."""
    found = apply_task(cfg, HEAD, SHAPE, params, batch(), method=method, **options)
    return np.asarray(found["logits"])


def moved(params, method):
    """The same with everything that was added away from where it begins."""
    draw, facts = np.random.default_rng(1), describe_task(*params[:3], method)
    leaves = flatten(params[3])
    for path in leaves:
        if "added" in facts[path].roles:
            leaves[path] = leaves[path] + draw.normal(0, 0.3, leaves[path].shape).astype(np.float32)
    return unflatten(leaves)


@pytest.mark.parametrize("kind", ["bert", *sorted(FAMILY)])
def test_training_begins_from_the_encoders_own_outputs(kind):
    """Bit for bit, in every layer that has something new; or the encoder is refused in a line."""
    cfg = encoder(kind)
    plain = init_task(cfg, HEAD, SHAPE, jax.random.key(3))
    expected = logits(cfg, plain)
    for method in METHODS:
        try:
            params = init_task(cfg, HEAD, SHAPE, jax.random.key(3), method)
        except UserError as error:
            assert "\n" not in str(error)
            assert (kind.startswith("mobilebert") and not isinstance(method, Lora)) or (
                kind in ("eurobert", "modernbert") and isinstance(method, BitFit)
            )
            continue
        before, after = flatten(plain), flatten(params)
        assert all(after[path].tobytes() == before[path].tobytes() for path in before)
        assert logits(cfg, params, method).tobytes() == expected.tobytes()
        if not isinstance(method, BitFit):
            away = moved((cfg, HEAD, SHAPE, params), method)
            assert np.abs(logits(cfg, away, method) - expected).max() > 1e-3
    assert not kind.startswith("mobilebert") or BitFit().merged(plain) is plain


@pytest.mark.parametrize(
    ("kind", "method"),
    [("bert", ALL), ("modernbert", ALL), ("albert", METHODS[1]), ("bert", METHODS[2])],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_scanned_layers_compute_the_same(kind, method):
    """With dropout, of updates and of layers."""
    method = replace(method, cfg=replace(method.cfg, dropout=0.2)) if method is ALL else method
    cfg = encoder(kind, num_layers=4 if kind == "modernbert" else 3, hidden_dropout=0.1)
    params = init_task(cfg, HEAD, SHAPE, jax.random.key(3), method)
    params = moved((cfg, HEAD, SHAPE, params), method)
    one, other = (
        logits(cfg, params, method, compute=replace(EXACT, scan_layers=scan), key=jax.random.key(5))
        for scan in (False, True)
    )
    np.testing.assert_allclose(one, other, atol=1e-5)


def test_an_update_is_what_the_paper_writes():
    """h = W x + α/r · B A x, where A begins uniform in ±1/√inputs and B at zero."""
    cfg = LoraConfig(rank=2, alpha=3.0)
    made = LowRank(cfg, 400, 6, 0, jnp.float32, Keys(jax.random.key(0)))
    a, x = np.asarray(made.a[...]), np.random.default_rng(0).normal(size=(5, 400))
    assert np.abs(a).max() <= 1 / 20 and np.abs(a).max() > 0.99 / 20
    assert a.std() == pytest.approx(1 / 20 / 3**0.5, rel=0.05)
    assert not np.asarray(made.b[...]).any()
    made.b[...] = jnp.asarray(np.random.default_rng(1).normal(size=(2, 6)))
    expected = 1.5 * (x @ a.astype(float)) @ np.asarray(made.b[...], float)
    np.testing.assert_allclose(made(jnp.asarray(x, jnp.float32), None), expected, atol=1e-5)


def test_dropout_of_an_update_is_of_what_it_sees():
    """The rest of the layer sees all; what is kept is scaled, and each update draws its own."""
    cfg = LoraConfig(rank=2, dropout=0.5)
    made = [LowRank(cfg, 16, 3, number, jnp.float32, Keys(jax.random.key(0))) for number in (0, 1)]
    for one in made:
        one.b[...] = jnp.ones((2, 3))
    x, key = jnp.ones((100_000, 16)), jax.random.key(1)
    first, second = (np.asarray(one(x, key)) for one in made)
    assert (first != second).any()
    np.testing.assert_allclose(first.mean(0), np.asarray(made[0](x, None))[0], atol=0.05)


def layer_norm(x):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-12)


@pytest.mark.parametrize("method", [Houlsby, Pfeiffer])
def test_an_adapter_stands_where_its_paper_has_it(method):
    draw, cfg = np.random.default_rng(0), encoder("bert")
    holder = nnx.Module()
    method(AdapterConfig(8.0, "relu")).insert(cfg, holder, jnp.float32, Keys(jax.random.key(0)))
    assert hasattr(holder, "attention_adapter") == (method is Houlsby)
    made = holder.feed_forward_adapter
    assert not np.asarray(made.up.kernel[...]).any() and made.up.bias[...].shape == (32,)
    for layer in (made.down, made.up):
        for leaf in (layer.kernel, layer.bias):
            leaf[...] = jnp.asarray(draw.normal(size=leaf[...].shape), jnp.float32)
    x, h = draw.normal(size=(2, 7, 32))

    def up(y):
        down = np.maximum(
            y @ np.asarray(made.down.kernel[...]) + np.asarray(made.down.bias[...]), 0
        )
        return down @ np.asarray(made.up.kernel[...]) + np.asarray(made.up.bias[...])

    expected = layer_norm(x + h + up(h if method is Houlsby else layer_norm(h + x)))
    found = made.joined(jnp.asarray(x), jnp.asarray(h), layer_norm)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def trained(method) -> int:
    facts = describe_task(BASE, HeadConfig(), SHAPE, method)
    leaves = flatten(abstract_task_params(BASE, HeadConfig(), SHAPE, method))
    below = (path for path in leaves if facts[path].depth is not None)
    return sum(leaves[path].size for path in below if method.trains(facts[path]))


def test_base_has_as_many_as_published():
    """adapter-bert: 24 of 99,136; Hu et al.: 0.3M; BitFit: 0.08 to 0.1 % of BERT-base."""
    assert trained(Houlsby(AdapterConfig(reduction=12.0))) == 24 * 99_136
    assert trained(Pfeiffer(AdapterConfig(reduction=12.0))) == 12 * 99_136
    assert trained(Lora(LoraConfig())) == 294_912
    whole = flatten(abstract_task_params(BASE, HeadConfig(), SHAPE))
    assert 0.0008 < trained(BitFit()) / sum(leaf.size for leaf in whole.values()) < 0.001
    norms = trained(Houlsby(AdapterConfig(12.0, norms=True))) - 24 * 99_136
    assert norms == 25 * 2 * 768


def test_every_name_has_its_method():
    lora, adapter = LoraConfig(rank=2), AdapterConfig(8.0)
    assert method_of("full", lora, adapter) is None
    found = [method_of(name, lora, adapter) for name in ("lora", "houlsby", "pfeiffer", "bitfit")]
    assert found == [Lora(lora), Houlsby(adapter), Pfeiffer(adapter), BitFit()]
