"""ALBERT: shared layers and narrow tables (transformers modeling_albert.py)."""

from __future__ import annotations

from functools import partial
from typing import Any

from bertjax.config import ModelConfig
from bertjax.huggingface.systems.bert import BUFFERS, CLASSIFIER, EMBEDDINGS
from bertjax.huggingface.systems.system import (
    INITIAL,
    TYPES,
    Content,
    Field,
    Head,
    System,
    dropouts,
    epsilon,
    sizes,
    task_heads,
    value_of,
)
from bertjax.text.special import SpecialIds

_LAYER = "encoder.albert_layer_groups.{group}.albert_layers.{inner}"
_ENCODER = EMBEDDINGS | {
    "embeddings/projection": "encoder.embedding_hidden_mapping_in",
    "layer_{}/attention/query": f"{_LAYER}.attention.query",
    "layer_{}/attention/key": f"{_LAYER}.attention.key",
    "layer_{}/attention/value": f"{_LAYER}.attention.value",
    "layer_{}/attention/output": f"{_LAYER}.attention.dense",
    "layer_{}/attention_norm": f"{_LAYER}.attention.LayerNorm",
    "layer_{}/feed_forward/intermediate": f"{_LAYER}.ffn",
    "layer_{}/feed_forward/output": f"{_LAYER}.ffn_output",
    "layer_{}/feed_forward_norm": f"{_LAYER}.full_layer_layer_norm",
}
# After attention `adapters` 1.3 gives its adapter the input of the layer in place of the branch.
_ADAPTERS = {"layer_{}/feed_forward_adapter": f"{_LAYER}.output_adapters"}
_MASKED_LM = {
    "masked_lm": "predictions",
    "masked_lm/transform": "predictions.dense",
    "masked_lm/norm": "predictions.LayerNorm",
}
_head = partial(Head, dropout="classifier_dropout_prob", default_dropout=0.1)


def _read(content: Content) -> dict[str, Any]:
    inner = value_of(content, "inner_group_num", int, 1)
    steps = value_of(content, "num_hidden_layers", int, 12)
    return {"num_layers": steps * inner, "inner_layers": inner}


def _write(cfg: ModelConfig, special: SpecialIds) -> Content:
    del special
    steps = cfg.num_layers // cfg.inner_layers
    return {"num_hidden_layers": steps, "inner_group_num": cfg.inner_layers}


ALBERT = System(
    model_type="albert",
    class_prefix="Albert",
    prefix="albert.",
    fields=(
        *sizes(defaults=(4096, 12, 64, 16384), vocab_size=30000),
        Field("embedding_size", "embedding_size", int, 128),
        Field("layer_groups", "num_hidden_groups", int, 1),
        TYPES,
        epsilon(),
        *dropouts(default=0.0),
        INITIAL,
    ),
    encoder=_ENCODER,
    pooler={"pooler/dense": "pooler"},
    heads={
        "masked_lm": Head("ForMaskedLM", _MASKED_LM),
        "pairs": Head(
            "ForPreTraining",
            _MASKED_LM | {"next_sentence/classifier": "sop_classifier.classifier"},
            pooler=True,
        ),
    }
    | task_heads(
        sentence=_head("ForSequenceClassification", CLASSIFIER, pooler=True),
        token=_head("ForTokenClassification", CLASSIFIER),
        choice=_head("ForMultipleChoice", CLASSIFIER, pooler=True),
    ),
    decoder="predictions.decoder",
    read=_read,
    default_activation="gelu_new",
    write=_write,
    buffers=BUFFERS,
    adapters=_ADAPTERS,
)
