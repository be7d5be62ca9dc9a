"""What each class of transformers computes, as a function of a batch: what a graph is made from."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp

from bertjax import model
from bertjax.config import HeadConfig, ModelConfig
from bertjax.huggingface.onnx_graph import Batch, Program
from bertjax.model.task import TaskShape, apply_task
from bertjax.tree import flatten, unflatten

Outputs = dict[str, jax.Array]
# Queries, keys and values as three products: joined they are an Einsum, which is slow there.
_APART = model.Compute(platform="gpu", attention="reference")


def pretraining_program(cfg: ModelConfig, params: model.Params) -> Program:
    """The pretraining heads: `logits` [B, T, V] or, of replaced tokens, [B, T].

    With a head for pairs also `seq_relationship_logits` [B, 2].
    """

    def run(batch: Batch) -> Outputs:
        outputs = model.apply(cfg, params, _with_places(batch), compute=_APART)
        if cfg.replaced_token_head:
            return {"logits": outputs["replaced_token_logits"]}
        found = {"logits": outputs["masked_lm_logits"][..., : cfg.vocab_size]}
        if cfg.next_sentence_head:
            found["seq_relationship_logits"] = outputs["next_sentence_logits"][:, 0]
        return found

    return Program(run, cfg.type_vocab_size > 1)


def encoder_program(cfg: ModelConfig, params: model.Params) -> Program:
    """The encoder alone: `last_hidden_state` [B, T, D], and `pooler_output` [B, D] if there is one.

    `params` are those of the encoder, with the pooler or without.
    """
    pooled = "pooler" in params
    cfg = replace(cfg, next_sentence_head=pooled, replaced_token_head=False)
    heads = jax.tree.map(lambda like: jnp.zeros(like.shape), model.abstract_params(cfg))
    params = unflatten(flatten(heads) | flatten(params))  # nothing is made of heads of zeros

    def run(batch: Batch) -> Outputs:
        outputs = model.apply(cfg, params, _with_places(batch), compute=_APART)
        found = {"last_hidden_state": outputs["hidden"]}
        return found | ({"pooler_output": outputs["pooled"][:, 0]} if pooled else {})

    return Program(run, cfg.type_vocab_size > 1)


def task_program(
    cfg: ModelConfig, head: HeadConfig, shape: TaskShape, params: model.Params
) -> Program:
    """The head of a task: `logits` [B, C], of tagging [B, T, C], of endings [B, endings].

    Of span_qa they are `start_logits` and `end_logits` [B, T].
    """

    def run(batch: Batch) -> Outputs:
        if shape.family == "tagging":
            batch = batch | {"word_positions": batch["positions"]}
        logits = apply_task(cfg, head, shape, params, batch, compute=_APART)["logits"]
        if shape.family == "span_qa":
            return {"start_logits": logits[..., 0], "end_logits": logits[..., 1]}
        return {"logits": logits}

    return Program(run, cfg.type_vocab_size > 1, grouped=shape.family == "multiple_choice")


def _with_places(batch: Batch) -> Batch:
    places = batch["positions"]
    return batch | {"predict_positions": places, "cls_positions": places[:, :1]}
