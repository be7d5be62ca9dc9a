"""The systems that are read and written, each in words of its own."""

from __future__ import annotations

from bertjax.config import ModelConfig
from bertjax.errors import UserError
from bertjax.huggingface.systems.albert import ALBERT
from bertjax.huggingface.systems.bert import (
    BERT,
    CAMEMBERT,
    ERNIE,
    ROBERTA,
    ROBERTA_PRE_NORM,
    XLM_ROBERTA,
)
from bertjax.huggingface.systems.distilbert import DISTILBERT
from bertjax.huggingface.systems.electra import ELECTRA
from bertjax.huggingface.systems.eurobert import EUROBERT
from bertjax.huggingface.systems.mobilebert import MOBILEBERT
from bertjax.huggingface.systems.modernbert import MODERNBERT
from bertjax.huggingface.systems.neobert import NEOBERT
from bertjax.huggingface.systems.openai_gpt import OPENAI_GPT
from bertjax.huggingface.systems.roformer import ROFORMER
from bertjax.huggingface.systems.system import Head, Names, System, Word, class_of, short, value_of

__all__ = [
    "SYSTEMS",
    "Head",
    "Names",
    "System",
    "Word",
    "class_of",
    "short",
    "system_of",
    "value_of",
]

SYSTEMS = {
    system.model_type: system
    for system in (
        BERT,
        ROBERTA,
        ROBERTA_PRE_NORM,
        XLM_ROBERTA,
        CAMEMBERT,
        ALBERT,
        ELECTRA,
        DISTILBERT,
        ERNIE,
        ROFORMER,
        MOBILEBERT,
        MODERNBERT,
        EUROBERT,
        NEOBERT,
        OPENAI_GPT,
    )
}


def system_of(cfg: ModelConfig) -> System:
    """The system that a model is written as: its family's; pre-norm BERT and RoBERTa have one.

    Raises:
        UserError: there is no such family.
    """
    if cfg.family in ("bert", "roberta") and cfg.norm == "pre":
        return ROBERTA_PRE_NORM
    found = SYSTEMS.get(cfg.family)
    if found is None or found.written_as:
        written = [name for name, one in SYSTEMS.items() if not one.written_as]
        raise UserError(
            f"model.family={cfg.family!r} is no system that bertjax writes: use one of "
            f"{', '.join(written)}"
        )
    return found
