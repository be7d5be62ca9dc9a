"""Training against shifted embeddings, two draws of dropout and gradual unfreezing."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_task import assert_resumes, config, eight_rows, encoder, write_table

from bertjax import sharding
from bertjax.config import MeshConfig
from bertjax.errors import UserError
from bertjax.finetuning import adversarial
from bertjax.finetuning.parameters import initial_parameters, join, separate
from bertjax.finetuning.step import Pace, make_steps
from bertjax.finetuning.unfreezing import lowest_depth
from bertjax.model.task import TaskShape, apply_task
from bertjax.objectives.consistency import divergence
from bertjax.optim.schedules import Turns, learning_rate
from bertjax.tree import flatten

SHAPE = TaskShape("classification", 2)


@pytest.mark.parametrize("epsilon", [0.0, 0.7])
def test_a_shifted_table_gives_the_gradients_of_the_usual_torch_loop(epsilon):
    """loss.backward(); attack; loss.backward(); restore: what .grad has then."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    table, kernel = rng.normal(size=(7, 4)), rng.normal(size=(4, 3))
    words, labels = rng.integers(0, 6, (5, 6)), rng.integers(0, 3, 5)
    theirs = torch.nn.Parameter(torch.tensor(table)), torch.nn.Parameter(torch.tensor(kernel))

    def torch_loss():
        logits = theirs[0][torch.tensor(words)].tanh().mean(1) @ theirs[1]
        return torch.nn.functional.cross_entropy(logits, torch.tensor(labels))

    first = torch_loss()
    first.backward()
    uphill = theirs[0].grad.clone()
    with torch.no_grad():
        theirs[0].add_(epsilon * uphill / uphill.norm())
    torch_loss().backward()

    def loss(params, step, key):
        del key
        logits = jnp.tanh((params["table"] + step)[words]).mean(1) @ params["kernel"]
        return -jax.nn.log_softmax(logits)[np.arange(5), labels].mean()

    params = {"table": jnp.float32(table), "kernel": jnp.float32(kernel)}
    value, grads = adversarial.value_and_grad(
        loss, params, params["table"], epsilon, jax.random.key(0)
    )
    assert float(value) == pytest.approx(first.item(), rel=1e-5)
    np.testing.assert_allclose(grads["table"], theirs[0].grad, atol=1e-6)
    np.testing.assert_allclose(grads["kernel"], theirs[1].grad, atol=1e-6)
    still = {"kernel": params["kernel"]}  # a table that is not trained

    def frozen(still, step, key):
        return loss(still | {"table": params["table"]}, step, key)

    _, alone = adversarial.value_and_grad(
        frozen, still, params["table"], epsilon, jax.random.key(0)
    )
    np.testing.assert_allclose(alone["kernel"], grads["kernel"], atol=1e-7)


def test_no_gradient_is_no_step():
    _, grads = adversarial.value_and_grad(
        lambda p, step, key: p * 2.0, jnp.float32(1), jnp.ones((2, 2)), 0.5, jax.random.key(0)
    )
    assert float(grads) == 4.0


def batch_of(family, rng, B=6, W=3, C=4) -> tuple[dict, np.ndarray]:
    """A batch, and which rows of its distributions count."""
    weights = np.array([1, 1, 1, 1, 0, 0], np.float32)
    if family == "tagging":
        tags = rng.integers(-1, C, (B, W))
        return {"example_weights": weights, "tags": tags}, (weights[:, None] > 0) & (tags >= 0)
    rows = weights[::2] if family == "multiple_choice" else weights
    return {"example_weights": weights}, rows > 0


@pytest.mark.parametrize(
    ("family", "size", "classes"),
    [
        ("classification", (6, 4), 4),
        ("multi_label", (6, 4), 4),
        ("multiple_choice", (6, 1), 2),
        ("tagging", (6, 3, 4), 4),
    ],
)
def test_the_divergence_is_torchs_kl_both_ways(family, size, classes):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, *size)).astype(np.float32)
    batch, counts = batch_of(family, rng)
    found = divergence(TaskShape(family, classes), {"logits": a}, {"logits": b}, batch)
    if family == "multi_label":
        a, b = (np.stack([x, np.zeros_like(x)], -1) for x in (a, b))
    if family == "multiple_choice":
        a, b = (x.reshape(3, 2) for x in (a, b))
    log_a, log_b = (torch.log_softmax(torch.tensor(x), -1) for x in (a, b))
    kl = torch.nn.functional.kl_div
    both = kl(log_a, log_b.exp(), reduction="none") + kl(log_b, log_a.exp(), reduction="none")
    expected = both.sum(-1).numpy()[counts].mean() / 2
    assert float(found) == pytest.approx(expected, rel=1e-5)


@pytest.fixture(scope="module")
def stepped():
    """A tiny run whose layers join one by one, by two draws of dropout: states after each epoch."""
    tune = {"unfreeze": 1, "rdrop": 2.0}
    cfg = config(Path("x"), tune=tune, optim={"weight_decay": 0.1})
    mesh = sharding.make_mesh(MeshConfig())
    initial, fresh = initial_parameters(cfg, SHAPE, encoder(), 0)
    trained, kept = separate(cfg, SHAPE, initial, fresh)
    batch, key = eight_rows(cfg), jax.random.key(0)
    states, losses = [initial], []
    with jax.set_mesh(mesh):
        steps = make_steps(cfg, SHAPE, mesh)
        batch = sharding.to_devices(mesh, batch, 8)
        state = steps.init(trained)
        for epoch in range(5):
            pace = Pace(Turns(*map(np.float32, (0, 0, 9))), np.int32(lowest_depth(cfg, epoch)))
            state, metrics = steps.train(state, kept, key, batch, pace)
            states.append(jax.device_get(join(state.params, kept)))
            losses.append(float(metrics["loss"]))
        assert steps.train._cache_size() == 1
    return cfg, states, losses


@pytest.mark.mesh
@pytest.mark.slow
def test_layers_join_from_the_top_and_are_bit_equal_before(stepped):
    _, states, _ = stepped
    moved = []
    for before, after in pairwise(states):
        a, b = flatten(before), flatten(after)
        moved.append({path.split("/")[0] for path in a if not np.array_equal(a[path], b[path])})
    top = {"pooler", "head"}
    lower = {"layer_0", *top, "layer_1"}
    assert moved == [top, {*top, "layer_1"}, lower, {*lower, "embeddings"}, {*lower, "embeddings"}]


@pytest.mark.mesh
@pytest.mark.slow
@pytest.mark.parametrize(("layer", "joins"), [("layer_0", 2), ("layer_1", 1), ("pooler", 0)])
def test_the_first_step_of_a_layer_is_adams_first(layer, joins, stepped):
    """Whenever it joins: m / √v of one gradient is ±1, but for small ones beside eps."""
    cfg, states, _ = stepped
    rate = float(learning_rate(cfg.optim, Turns(0, 0, 9))(joins))
    before, after = (flatten(states[i][layer]) for i in (joins, joins + 1))
    for path in (path for path in before if path.endswith("kernel")):
        step = (before[path] - after[path]) / rate - cfg.optim.weight_decay * before[path]
        assert np.abs(step).max() == pytest.approx(1, rel=1e-2)


@pytest.mark.mesh
@pytest.mark.slow
def test_the_loss_is_that_of_two_draws_and_how_unlike_they_are(stepped):
    cfg, (initial, *_), losses = stepped
    batch, key = eight_rows(cfg), jax.random.fold_in(jax.random.key(0), 0)
    labels, logs = batch["label"], []
    for draw in jax.random.split(key):
        logits = apply_task(cfg.model, cfg.head, SHAPE, initial, batch, key=draw)["logits"]
        logs.append(np.asarray(jax.nn.log_softmax(logits), np.float64))
    nll = -np.mean([log[np.arange(8), labels].mean() for log in logs])
    p, q = map(np.exp, logs)
    apart = (p * (logs[0] - logs[1]) + q * (logs[1] - logs[0])).sum(-1).mean() / 2
    assert apart > 1e-5
    assert losses[0] == pytest.approx(nll + 2.0 * apart, rel=1e-4)


def test_layers_an_epoch():
    cfg = config(Path("x"), model={"num_layers": 5}, tune={"unfreeze": 2})
    assert [lowest_depth(cfg, epoch) for epoch in range(5)] == [6, 4, 2, 0, 0]
    assert lowest_depth(config(Path("x")), 0) == 0


@pytest.mark.slow
def test_a_run_of_all_of_them_resumes_bit_for_bit(tmp_path):
    train, dev = write_table(tmp_path / "train.tsv", 64), write_table(tmp_path / "dev.tsv", 16, 1)
    tune = {"epochs": 3, "unfreeze": 1, "fgm": 0.5, "rdrop": 1.0}
    optim = {"schedule": "slanted", "warmup_fraction": 0.1, "final_fraction": 1 / 32}
    cfg = config(train, dev, tune=tune, optim=optim)
    assert_resumes(cfg, tmp_path, (2, 5))  # in the first epoch, in the second
    logs = [
        [
            {k: v for k, v in json.loads(line).items() if "loss" in k or k == "step"}
            for line in (tmp_path / name / "seed-0" / "metrics.jsonl").read_text().splitlines()
        ]
        for name in "ab"
    ]
    assert logs[0][-1] == logs[1][-1]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"tune": {"unfreeze": 1, "method": "lora"}}, "the encoder stays as it is"),
        ({"tune": {"unfreeze": 1, "layers": 0}}, "states are computed once"),
        ({"tune": {"fgm": 1.0, "layers": 0}}, "tune.fgm=1.0 with tune.layers=0"),
        ({"tune": {"rdrop": 1.0}, "task": {"family": "regression"}}, "no distributions"),
        ({"tune": {"fgm": -1.0}}, "tune.fgm=-1"),
    ],
)
def test_what_does_not_go_together_is_refused(changes, says):
    with pytest.raises(UserError) as caught:
        config(Path("x"), **changes)
    assert says in str(caught.value)


def test_two_draws_need_dropout():
    dry = {"hidden_dropout": 0.0, "attention_dropout": 0.0}
    with pytest.raises(UserError, match="two draws would be one"):
        config(Path("x"), model=dry, head={"dropout": 0.0}, tune={"rdrop": 1.0})
