"""DistilBERT: no token types, no pooler in pretraining (transformers modeling_distilbert.py)."""

from __future__ import annotations

from functools import partial
from typing import Any

from bertjax.config import ModelConfig
from bertjax.huggingface.systems.bert import CLASSIFIER, EMBEDDINGS
from bertjax.huggingface.systems.system import (
    INITIAL,
    Content,
    Head,
    System,
    dropouts,
    sizes,
    task_heads,
)
from bertjax.text.special import SpecialIds

_EPSILON = 1e-12  # written into the class, no field
_ENCODER = EMBEDDINGS | {
    "layer_{}/attention/query": "transformer.layer.{}.attention.q_lin",
    "layer_{}/attention/key": "transformer.layer.{}.attention.k_lin",
    "layer_{}/attention/value": "transformer.layer.{}.attention.v_lin",
    "layer_{}/attention/output": "transformer.layer.{}.attention.out_lin",
    "layer_{}/attention_norm": "transformer.layer.{}.sa_layer_norm",
    "layer_{}/feed_forward/intermediate": "transformer.layer.{}.ffn.lin1",
    "layer_{}/feed_forward/output": "transformer.layer.{}.ffn.lin2",
    "layer_{}/feed_forward_norm": "transformer.layer.{}.output_layer_norm",
}
_MASKED_LM = {
    "masked_lm": "vocab_projector",
    "masked_lm/transform": "vocab_transform",
    "masked_lm/norm": "vocab_layer_norm",
}
_SENTENCE = {"pooler/dense": "pre_classifier"} | CLASSIFIER
_head = partial(Head, dropout="seq_classif_dropout", default_dropout=0.2)


def _read(content: Content) -> dict[str, Any]:
    del content
    return {"type_vocab_size": 0, "layer_norm_eps": _EPSILON, "pooler": "relu"}


def _write(cfg: ModelConfig, special: SpecialIds) -> Content:
    del cfg, special
    return {"sinusoidal_pos_embds": False}  # the table is written, however it began


DISTILBERT = System(
    model_type="distilbert",
    class_prefix="DistilBert",
    prefix="distilbert.",
    fields=(
        *sizes("dim n_layers n_heads hidden_dim", (768, 6, 12, 3072), vocab_size=30522),
        *dropouts("dropout", "attention_dropout"),
        INITIAL,
    ),
    encoder=_ENCODER,
    pooler={},
    heads={"masked_lm": Head("ForMaskedLM", _MASKED_LM)}
    | task_heads(
        sentence=_head("ForSequenceClassification", _SENTENCE),
        token=Head("ForTokenClassification", CLASSIFIER),
        span=Head("ForQuestionAnswering", {"head/classifier": "qa_outputs"}, dropout="qa_dropout"),
        choice=_head("ForMultipleChoice", _SENTENCE),
    ),
    decoder="vocab_projector",
    read=_read,
    write=_write,
    activation="activation",
    buffers=(r"embeddings\.position_ids",),
    adapters={
        "layer_{}/attention_adapter": "transformer.layer.{}.attention_adapters",
        "layer_{}/feed_forward_adapter": "transformer.layer.{}.output_adapters",
    },
)
