"""MobileBERT: layers that are narrow inside, trigrams, norms without statistics.

Names and words are those of transformers modeling_mobilebert.py.
"""

from __future__ import annotations

from typing import Any

from bertjax.config import MAX_FEED_FORWARDS, ModelConfig
from bertjax.huggingface.systems.bert import (
    BERT,
    BUFFERS,
    EMBEDDINGS,
    HEADS,
    LAYERS,
    MASKED_LM,
    PAIRS,
    POOLER,
)
from bertjax.huggingface.systems.system import (
    INITIAL,
    TYPES,
    Content,
    Field,
    Head,
    System,
    epsilon,
    refuse_unless,
    sizes,
    value_of,
)
from bertjax.text.special import SpecialIds

_LAYER = "encoder.layer.{}"
_NARROW = {
    "layer_{}/narrow/dense": f"{_LAYER}.bottleneck.input.dense",
    "layer_{}/narrow/norm": f"{_LAYER}.bottleneck.input.LayerNorm",
    "layer_{}/narrow_attention/dense": f"{_LAYER}.bottleneck.attention.dense",
    "layer_{}/narrow_attention/norm": f"{_LAYER}.bottleneck.attention.LayerNorm",
    "layer_{}/widen/dense": f"{_LAYER}.output.bottleneck.dense",
    "layer_{}/widen/norm": f"{_LAYER}.output.bottleneck.LayerNorm",
}
_STACK = {
    f"layer_{{}}/feed_forward_{i}{ours}": f"{_LAYER}.ffn.{i}.{theirs}"
    for i in range(MAX_FEED_FORWARDS - 1)
    for ours, theirs in (
        ("/intermediate", "intermediate.dense"),
        ("/output", "output.dense"),
        ("_norm", "output.LayerNorm"),
    )
}
# A linear layer from the vocabulary, to its file.
_WIDE = {"masked_lm/extension": "cls.predictions.dense"}
_SWITCHES = {
    "trigram_input": True,
    "use_bottleneck": True,
    "normalization_type": "no_norm",
}


def _read(content: Content) -> dict[str, Any]:
    for key, value in _SWITCHES.items():
        refuse_unless(content, key, value, reason=f"only the published {value} is supported")
    narrow = value_of(content, "use_bottleneck_attention", bool, False)
    twice = value_of(content, "key_query_shared_bottleneck", bool, True)
    if narrow == twice:
        raise ValueError(
            f"use_bottleneck_attention={narrow} with key_query_shared_bottleneck={twice}: one of "
            "them is supported, as in MobileBERT and its tiny one"
        )
    pools = value_of(content, "classifier_activation", bool, True)
    return {
        "narrow_values": narrow,
        "trigram": True,
        "norm_kind": "affine",
        "wide_head": True,
        "pooler": "tanh" if pools else "none",
    }


def _write(cfg: ModelConfig, special: SpecialIds) -> Content:
    del special
    return _SWITCHES | {
        "use_bottleneck_attention": cfg.narrow_values,
        "key_query_shared_bottleneck": not cfg.narrow_values,
        "classifier_activation": cfg.pooler != "none",
    }


MOBILEBERT = System(
    model_type="mobilebert",
    class_prefix="MobileBert",
    prefix="mobilebert.",
    fields=(
        *sizes(defaults=(512, 24, 4, 512), vocab_size=30522),
        Field("embedding_size", "embedding_size", int, 128),
        Field("bottleneck_size", "intra_bottleneck_size", int, 128),
        Field("feed_forwards", "num_feedforward_networks", int, 4),
        TYPES,
        epsilon(),
        Field("hidden_dropout", "hidden_dropout_prob", float, 0.0),
        Field("attention_dropout", "attention_probs_dropout_prob", float, 0.1),
        INITIAL,
    ),
    encoder=EMBEDDINGS
    | {"embeddings/projection": "embeddings.embedding_transformation"}
    | LAYERS
    | _NARROW
    | _STACK,
    pooler=POOLER,
    heads=HEADS
    | {
        "masked_lm": Head("ForMaskedLM", MASKED_LM | _WIDE),
        "pairs": Head("ForPreTraining", PAIRS | _WIDE, pooler=True),
    },
    decoder=BERT.decoder,
    read=_read,
    default_activation="relu",
    write=_write,
    buffers=BUFFERS,
)
