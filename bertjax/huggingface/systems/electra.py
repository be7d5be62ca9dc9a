"""ELECTRA's two nets (transformers modeling_electra.py).

A generator is an ElectraForMaskedLM, a discriminator an ElectraForPreTraining; each file holds
all tables, though training shares them.
"""

from __future__ import annotations

from typing import Any

from bertjax.config import ModelConfig
from bertjax.huggingface.systems.bert import ADAPTERS, BUFFERS, CLASSIFIER, EMBEDDINGS, LAYERS
from bertjax.huggingface.systems.system import (
    INITIAL,
    TYPES,
    Content,
    Head,
    System,
    Word,
    dropouts,
    epsilon,
    sizes,
    task_heads,
    value_of,
)
from bertjax.text.special import SpecialIds

_MASKED_LM = {
    "masked_lm": "generator_lm_head",
    "masked_lm/transform": "generator_predictions.dense",
    "masked_lm/norm": "generator_predictions.LayerNorm",
}
_REPLACED_TOKENS = {
    "replaced_token/dense": "discriminator_predictions.dense",
    "replaced_token/output": "discriminator_predictions.dense_prediction",
}
SENTENCE = {"pooler/dense": "classifier.dense", "head/classifier": "classifier.out_proj"}


def choice(kind: str, projects: bool, curve: str | None, dropout: float) -> Head:
    """The head of choices, with what a class has where config.json says nothing of it."""
    return Head(
        "ForMultipleChoice",
        {"pooler/dense": "sequence_summary.summary"} | CLASSIFIER,
        dropout="summary_last_dropout",
        default_dropout=dropout,
        words=(
            Word("summary_type", "first", kind),
            Word("summary_use_proj", True, projects),
            Word("summary_activation", "gelu", curve),
        ),
    )


def table_width(content: Content, default: int | None) -> int:
    """Of the tables; 0 where they are as wide as the layers, and no projection follows."""
    if content.get("embedding_size", default) is None:
        return 0
    width = value_of(content, "embedding_size", int, default)
    return 0 if width == content.get("hidden_size", 256 if default else 768) else width


def _read(content: Content) -> dict[str, Any]:
    # Google's head has the erf GELU whatever the layers have, and so has the classifier.
    return {
        "embedding_size": table_width(content, 128),
        "head_activation": "gelu",
        "pooler": "gelu",
    }


def _write(cfg: ModelConfig, special: SpecialIds) -> Content:
    del special
    return {"embedding_size": cfg.table_size}


ELECTRA = System(
    model_type="electra",
    class_prefix="Electra",
    prefix="electra.",
    fields=(
        *sizes(defaults=(256, 12, 4, 1024), vocab_size=30522),
        TYPES,
        epsilon(),
        *dropouts(),
        INITIAL,
    ),
    encoder=EMBEDDINGS | {"embeddings/projection": "embeddings_project"} | LAYERS,
    pooler={},
    heads={
        "masked_lm": Head("ForMaskedLM", _MASKED_LM),
        "replaced_tokens": Head("ForPreTraining", _REPLACED_TOKENS),
    }
    | task_heads(
        sentence=Head("ForSequenceClassification", SENTENCE),
        choice=choice("first", True, "gelu", 0.1),
    ),
    decoder="generator_lm_head",
    read=_read,
    write=_write,
    buffers=BUFFERS,
    adapters=ADAPTERS,
)
