"""Losses of tasks against torch's, and probabilities against their definitions."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit, softmax

from bertjax.errors import UserError
from bertjax.model import crf
from bertjax.model.task import TaskShape
from bertjax.objectives import task_losses

torch = pytest.importorskip("torch")
functional = torch.nn.functional

B, W, T, C = 6, 5, 7, 3
WEIGHTS = (0.5, 2.0, 3.0)
REAL_ROWS = np.array([1, 1, 0, 1, 1, 1], np.float32)
KEPT = REAL_ROWS > 0
DRAW = np.random.default_rng(0)
# Large ones too: a loss by way of probabilities would be infinite.
LOGITS = (DRAW.normal(0, 1, (B, C)) * [[1], [1], [1], [30], [200], [1]]).astype(np.float32)
LABELS = DRAW.integers(0, C, B).astype(np.int32)


def mean_loss(shape: TaskShape, outputs: dict, **batch) -> float:
    batch = {"example_weights": REAL_ROWS} | batch
    total, weight = jax.jit(partial(task_losses.loss, shape))(outputs, batch)
    assert total.dtype == weight.dtype == jnp.float32 and total.shape == weight.shape == ()
    return float(total / weight)


def as_torch(array: np.ndarray):
    return torch.tensor(array[KEPT])


@pytest.mark.parametrize("weights", [(), WEIGHTS])
def test_classification_is_torchs_weighted_cross_entropy(weights) -> None:
    shape = TaskShape("classification", C, weights)
    expected = functional.cross_entropy(
        as_torch(LOGITS),
        as_torch(LABELS).long(),
        weight=torch.tensor(weights) if weights else None,
    )
    found = mean_loss(shape, {"logits": LOGITS}, label=LABELS)
    assert found == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("weights", [(), WEIGHTS])
def test_multi_label_is_torchs_binary_cross_entropy(weights) -> None:
    target = DRAW.integers(0, 2, (B, C)).astype(np.int32)
    expected = functional.binary_cross_entropy_with_logits(
        as_torch(LOGITS),
        as_torch(target).float(),
        weight=torch.tensor(weights) if weights else None,
    )
    shape = TaskShape("multi_label", C, weights)
    found = mean_loss(shape, {"logits": LOGITS}, label=target)
    assert found == pytest.approx(expected.item(), rel=1e-5)


def test_regression_is_the_mean_squared_error() -> None:
    values = DRAW.normal(2, 1, B).astype(np.float32)
    expected = np.mean((LOGITS[KEPT, 0] - values[KEPT]) ** 2)
    found = mean_loss(TaskShape("regression", 1), {"logits": LOGITS[:, :1]}, label=values)
    assert found == pytest.approx(expected, rel=1e-5)


def tagged(lengths=(5, 3, 4, 1, 0, 2)) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    draw = np.random.default_rng(1)
    words = np.arange(W) < np.array(lengths)[:, None]
    logits = draw.normal(0, 2, (B, W, C)).astype(np.float32)
    return logits, np.where(words, draw.integers(0, C, (B, W)), -1).astype(np.int32), words


@pytest.mark.parametrize("weights", [(), WEIGHTS])
def test_tagging_is_torchs_cross_entropy_of_words(weights) -> None:
    logits, tags, _ = tagged()
    expected = functional.cross_entropy(
        as_torch(logits).reshape(-1, C),
        as_torch(tags).long().reshape(-1),
        ignore_index=-1,
        weight=torch.tensor(weights) if weights else None,
    )
    found = mean_loss(TaskShape("tagging", C, weights), {"logits": logits}, tags=tags)
    assert found == pytest.approx(expected.item(), rel=1e-5)


def field(scale: float) -> crf.Potentials:
    draw = np.random.default_rng(2)
    sizes = (C, (C, C), C)
    return crf.Potentials(*(scale * draw.normal(size=s).astype(np.float32) for s in sizes))


def test_a_crf_without_potentials_is_the_cross_entropy_of_words() -> None:
    """So the two losses have one scale: nats a word."""
    logits, tags, words = tagged()
    places = np.where(words, 1, -1)
    shape = TaskShape("tagging", C)
    plain = mean_loss(shape, {"logits": logits}, tags=tags)
    joint = partial(mean_loss, shape, tags=tags, word_positions=places)
    assert joint({"logits": logits, "crf": field(0.0)}) == pytest.approx(plain, rel=1e-5)
    assert abs(joint({"logits": logits, "crf": field(1.0)}) - plain) > 0.1
    weighted = TaskShape("tagging", C, WEIGHTS)
    with pytest.raises(UserError, match=r"head\.crf=true"):
        mean_loss(weighted, {"logits": logits, "crf": field(1.0)}, tags=tags, word_positions=places)


def spans() -> tuple[np.ndarray, np.ndarray]:
    logits = np.random.default_rng(3).normal(0, 2, (B, T, 2)).astype(np.float32)
    lengths = np.array([7, 7, 3, 5, 4, 6])
    return logits, (np.arange(T) < lengths[:, None]).astype(np.int32)


def test_spans_are_torchs_cross_entropies_over_real_tokens() -> None:
    logits, segments = spans()
    span = np.array([[0, 0], [2, 6], [1, 1], [4, 4], [1, 3], [-1, -1]], np.int32)
    masked = np.where(segments[..., None] > 0, logits, -np.inf).astype(np.float32)
    start, end = (
        functional.cross_entropy(
            as_torch(masked[..., i]), as_torch(span[:, i]).long(), ignore_index=-1
        )
        for i in (0, 1)
    )
    shape = TaskShape("span_qa", 2)
    found = mean_loss(shape, {"logits": logits}, span=span, segments=segments)
    assert found == pytest.approx(float(start + end) / 2, rel=1e-5)
    # A place past the row, or in its padding, is no answer in it either.
    for place in (T, T - 1):
        outside = np.where(span < 0, place, span)
        assert found == mean_loss(shape, {"logits": logits}, span=outside, segments=segments)


def test_a_choice_is_torchs_cross_entropy_over_each_group() -> None:
    logits = LOGITS[:, :1]
    labels = np.array([1, 1, 0, 0, 1, 1], np.int32)
    weights = np.array([1, 1, 1, 1, 0, 0], np.float32)
    expected = functional.cross_entropy(
        torch.tensor(logits.reshape(-1, 2)[:2]), torch.tensor([1, 0])
    )
    shape = TaskShape("multiple_choice", 2)
    found = mean_loss(shape, {"logits": logits}, label=labels, example_weights=weights)
    assert found == pytest.approx(expected.item(), rel=1e-5)
    shares = task_losses.probabilities(shape, {"logits": logits}, {})["probabilities"]
    np.testing.assert_allclose(shares.reshape(-1, 2), softmax(logits.reshape(-1, 2), 1), atol=1e-6)


def test_parts_of_a_batch_add_up_to_the_whole() -> None:
    shape, batch = TaskShape("classification", C, WEIGHTS), {"label": LABELS}
    batch["example_weights"] = REAL_ROWS
    run = jax.jit(partial(task_losses.loss, shape))
    whole = run({"logits": LOGITS}, batch)
    halves = [
        run({"logits": LOGITS[part]}, {k: v[part] for k, v in batch.items()})
        for part in (slice(0, 3), slice(3, None))
    ]
    np.testing.assert_allclose(np.sum(halves, 0), whole, rtol=1e-5)


def test_a_batch_of_nothing_has_loss_zero_and_finite_gradients() -> None:
    shape = TaskShape("span_qa", 2)
    logits, _ = spans()
    batch = {
        "example_weights": np.zeros(B, np.float32),
        "span": np.zeros((B, 2), np.int32),
        "segments": np.zeros((B, T), np.int32),
    }

    def total(logits):
        return task_losses.loss(shape, {"logits": logits}, batch)[0]

    value, gradient = jax.value_and_grad(total)(jnp.asarray(logits))
    assert value == 0 and np.isfinite(gradient).all() and not gradient.any()


def test_probabilities() -> None:
    def said(family, logits, classes=C, **batch):
        return task_losses.probabilities(TaskShape(family, classes), {"logits": logits}, batch)

    np.testing.assert_allclose(
        said("classification", LOGITS)["probabilities"], softmax(LOGITS, -1), atol=1e-6
    )
    np.testing.assert_allclose(said("multi_label", LOGITS)["probabilities"], expit(LOGITS), 1e-5)
    value = said("regression", LOGITS[:, :1], 1)["probabilities"]
    np.testing.assert_array_equal(value, LOGITS[:, :1])
    logits, _, _ = tagged()
    np.testing.assert_allclose(
        said("tagging", logits)["probabilities"], softmax(logits, -1), atol=1e-6
    )
    np.testing.assert_array_equal(said("span_qa", spans()[0], 2)["logits"], spans()[0])


def test_probabilities_of_a_crf_are_marginals_with_the_best_path() -> None:
    logits, _, words = tagged()
    outputs = {"logits": logits, "crf": field(1.0)}
    batch = {"word_positions": np.where(words, 1, -1)}
    said = jax.jit(partial(task_losses.probabilities, TaskShape("tagging", C)))(outputs, batch)
    np.testing.assert_allclose(said["probabilities"].sum(-1), words, atol=1e-5)
    assert ((said["path"] >= 0) == words).all()
    shares = said["probabilities"]
    assert np.abs(shares[words] - softmax(logits, -1)[words]).max() > 0.05
