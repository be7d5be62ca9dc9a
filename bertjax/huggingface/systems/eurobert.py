"""EuroBERT: RMS norms, rotary positions, gated layers, a decoder of its own (modeling_eurobert.py).

NeoBERT (`neobert.py`) is this network after a reordering of rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bertjax.config import ModelConfig
from bertjax.huggingface.systems.bert import CLASSIFIER
from bertjax.huggingface.systems.system import (
    INITIAL,
    Content,
    Field,
    Head,
    Pooling,
    System,
    epsilon,
    refuse_unless,
    rotation_of,
    sizes,
    value_of,
)
from bertjax.text.special import SpecialIds


def _read_euro(content: Content) -> dict[str, Any]:
    refuse_unless(content, "attention_bias", False, reason="only attention without is supported")
    heads = content.get("num_attention_heads", 12)
    reason = "each head has keys of its own here"
    refuse_unless(content, "num_key_value_heads", heads, reason=reason)
    # The older word has precedence there too.
    rotation = rotation_of(content, "rope_scaling") or rotation_of(content, "rope_parameters")
    older = value_of(content, "rope_theta", float, 10_000.0)
    return {
        "positions": "rotary",
        "rotary_base": value_of(rotation, "rope_theta", float, older),
        "norm": "pre",
        "norm_kind": "rms",
        "linear_bias": False,
        "feed_forward": "glu",
        "embedding_norm": False,
        "type_vocab_size": 0,
        "hidden_dropout": 0.0,
        "pooler": "gelu",
        "head_transform": False,
        # One word for both: those of the layers are zero in what is written and read.
        "head_bias": value_of(content, "mlp_bias", bool, False),
        "tied_head": value_of(content, "tie_word_embeddings", bool, False),
    }


def _write_euro(cfg: ModelConfig, special: SpecialIds) -> Content:
    return {
        "num_key_value_heads": cfg.num_heads,
        "rope_parameters": {"rope_type": "default", "rope_theta": cfg.rotary_base},
        "attention_bias": False,
        "mlp_bias": cfg.head_bias,
        "tie_word_embeddings": cfg.tied_head,
        "mask_token_id": special.mask,
    }


def _zero_biases(cfg: ModelConfig) -> dict[str, np.ndarray]:
    """Those of the layers, which the class has if it has one at the end."""
    sizes = {
        "gate_proj": cfg.intermediate_size,
        "up_proj": cfg.intermediate_size,
        "down_proj": cfg.hidden_size,
    }
    return {
        f"layers.{layer}.mlp.{name}.bias": np.zeros(size, np.float32)
        for layer in range(cfg.num_layers * cfg.head_bias)
        for name, size in sizes.items()
    }


_LLAMA = {
    "embeddings/word_embeddings": "embed_tokens",
    "layer_{}/attention_norm": "layers.{}.input_layernorm",
    "layer_{}/attention/query": "layers.{}.self_attn.q_proj",
    "layer_{}/attention/key": "layers.{}.self_attn.k_proj",
    "layer_{}/attention/value": "layers.{}.self_attn.v_proj",
    "layer_{}/attention/output": "layers.{}.self_attn.o_proj",
    "layer_{}/feed_forward_norm": "layers.{}.post_attention_layernorm",
    "layer_{}/feed_forward/intermediate": "layers.{}.mlp.gate_proj",
    "layer_{}/feed_forward/gate": "layers.{}.mlp.up_proj",
    "layer_{}/feed_forward/output": "layers.{}.mlp.down_proj",
    "final_norm": "norm",
}
_SENTENCE = Head(
    "ForSequenceClassification",
    {"pooler/dense": "dense"} | CLASSIFIER,
    dropout="",
)
EUROBERT = System(
    model_type="eurobert",
    class_prefix="EuroBert",
    prefix="model.",
    fields=(
        *sizes(defaults=(768, 12, 12, 3072), vocab_size=128256),
        epsilon("rms_norm_eps", 1e-5),
        Field("attention_dropout", "attention_dropout", float, 0.0),
        INITIAL,
    ),
    encoder=_LLAMA,
    pooler={},
    heads={
        "masked_lm": Head(
            "ForMaskedLM", {"masked_lm/decoder": "lm_head.weight", "masked_lm/bias": "lm_head.bias"}
        ),
        "tagging": Head("ForTokenClassification", CLASSIFIER),
    }
    | dict.fromkeys(("classification", "multi_label", "regression"), _SENTENCE),
    decoder="lm_head",
    constants=_zero_biases,
    read=_read_euro,
    default_activation="silu",
    default_rows=8192,
    write=_write_euro,
    pooling=Pooling(
        "classifier_pooling", {"cls": "bos", "pooled_mean": "mean", "late": "late"}, default="late"
    ),
)
