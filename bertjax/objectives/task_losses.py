"""Losses and probabilities of every task family.

A loss is a sum and the weight it is divided by, so that micro-batches and devices add up to the
exact mean. Every row has an `example_weights` entry; 0 marks one that only fills a batch.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from bertjax.errors import UserError
from bertjax.model import crf
from bertjax.model.task import TaskShape, real_tokens
from bertjax.objectives.losses import nll_of

Batch = dict[str, Array]
Outputs = dict[str, Any]


def loss(shape: TaskShape, outputs: Outputs, batch: Batch) -> tuple[Array, Array]:
    """The loss of a batch as (sum, weight), float32 scalars; its mean is their quotient.

    Args:
        shape: of the task.
        outputs: of `apply_task`.
        batch: float32 [B] `example_weights`, and what the family asks for:
            classification: int32 [B] `label`; cross-entropy, a row weighs as its class does, as
                in torch.nn.CrossEntropyLoss;
            multi_label: [B, C] `label` of 0 and 1; binary cross-entropy, mean over the classes,
                each times its class weight, as in torch.nn.BCEWithLogitsLoss;
            regression: float32 [B] `label`; squared error;
            tagging: int32 [B, W] `tags`, −1 for none; cross-entropy of each word. With a CRF the
                negative log-likelihood of whole rows, in which a tag of −1 is any: its weight is
                the number of tagged words all the same, so that both losses have the same scale;
            span_qa: int32 [B, 2] `span`, first and last token; mean of the cross-entropies of
                start and end over the real tokens. A row whose span has a place that is no real
                token has weight 0;
            multiple_choice: int32 [B] `label`, the right ending's number, the same in all
                `classes` consecutive rows of a group; cross-entropy over the group.

    Raises:
        UserError: class weights with a CRF, which has no loss of single words to weigh.
    """
    logits, weights_B = outputs["logits"], batch["example_weights"]
    family = shape.family
    if family == "classification":
        return _cross_entropy(shape, logits, batch["label"], weights_B)
    if family == "multi_label":
        target_BC = batch["label"].astype(jnp.float32)
        nll_BC = jnp.logaddexp(logits, 0.0) - target_BC * logits
        nll_B = jnp.mean(nll_BC * _class_weights(shape), axis=1)
    elif family == "regression":
        nll_B = (logits[:, 0] - batch["label"]) ** 2
    elif family == "tagging":
        return _tagging(shape, outputs, batch)
    elif family == "span_qa":
        nll_B, weights_B = _span(logits, batch)
    else:
        choices_GC = logits.reshape(-1, shape.classes)
        first = slice(None, None, shape.classes)
        return _cross_entropy(shape, choices_GC, batch["label"][first], weights_B[first])
    return jnp.sum(nll_B * weights_B), jnp.sum(weights_B)


def probabilities(shape: TaskShape, outputs: Outputs, batch: Batch) -> dict[str, Array]:
    """What the model says of each row, as `Task.merge` takes it.

    `probabilities` float32: [B, C] classification (softmax) and multi_label (sigmoid); [B, 1]
    regression (the value) and multiple_choice (an ending's share of its group); [B, W, C] tagging
    (softmax; with a CRF its marginals, and `path` int32 [B, W], the best tags, −1 for padding).
    span_qa: `logits` [B, T, 2].
    """
    logits = outputs["logits"]
    if shape.family == "span_qa":
        return {"logits": logits}
    if shape.family == "multi_label":
        return {"probabilities": jax.nn.sigmoid(logits)}
    if shape.family == "regression":
        return {"probabilities": logits}
    if shape.family == "multiple_choice":
        shares_GC = jax.nn.softmax(logits.reshape(-1, shape.classes))
        return {"probabilities": shares_GC.reshape(-1, 1)}
    if "crf" in outputs:
        words_BW = batch["word_positions"] >= 0
        return {
            "probabilities": crf.marginals(outputs["crf"], logits, words_BW),
            "path": crf.best_path(outputs["crf"], logits, words_BW),
        }
    return {"probabilities": jax.nn.softmax(logits)}


def _class_weights(shape: TaskShape) -> Array:
    return jnp.array(shape.class_weights or (1.0,) * shape.classes, jnp.float32)


def _cross_entropy(
    shape: TaskShape, logits: Array, labels: Array, weights: Array
) -> tuple[Array, Array]:
    """Weighted by the class as well; a label of −1 has weight 0."""
    weights = weights * (labels >= 0) * _class_weights(shape)[jnp.maximum(labels, 0)]
    return jnp.sum(_nll(logits, labels) * weights), jnp.sum(weights)


def _nll(logits: Array, labels: Array) -> Array:
    """Negative log-probability of the labels; where one is negative, that of label 0."""
    return nll_of(logits, jnp.maximum(labels, 0))[0]


def _tagging(shape: TaskShape, outputs: Outputs, batch: Batch) -> tuple[Array, Array]:
    logits, tags_BW, weights_B = outputs["logits"], batch["tags"], batch["example_weights"]
    if "crf" not in outputs:
        return _cross_entropy(shape, logits, tags_BW, weights_B[:, None])
    if shape.class_weights:
        raise UserError(
            f"task.class_weights={list(shape.class_weights)} with head.crf=true: a CRF scores "
            "sentences, not words; leave the weights out, or use head.crf=false"
        )
    words_BW = batch["word_positions"] >= 0
    likelihood_B = crf.log_likelihood(outputs["crf"], logits, tags_BW, words_BW)
    tagged_BW = words_BW & (tags_BW >= 0)
    # The difference of two equal sums may be rounded, and would be all that such a row has.
    likelihood_B = jnp.where(jnp.any(tagged_BW, axis=1), likelihood_B, 0.0)
    return -jnp.sum(likelihood_B * weights_B), jnp.sum(tagged_BW * weights_B[:, None])


def _span(logits_BT2: Array, batch: Batch) -> tuple[Array, Array]:
    real_BT = real_tokens(batch)
    logits_B2T = jnp.where(real_BT[..., None], logits_BT2, jnp.finfo(jnp.float32).min)
    logits_B2T = logits_B2T.swapaxes(1, 2)
    span_B2, T = batch["span"], real_BT.shape[1]
    in_row_B2 = (span_B2 >= 0) & (span_B2 < T)
    real_B2 = jnp.take_along_axis(real_BT, jnp.clip(span_B2, 0, T - 1), axis=1)
    inside_B = jnp.all(in_row_B2 & real_B2, axis=1)
    nll_B2 = _nll(logits_B2T, jnp.where(inside_B[:, None], span_B2, -1))
    return jnp.where(inside_B, jnp.mean(nll_B2, axis=1), 0.0), batch["example_weights"] * inside_B
