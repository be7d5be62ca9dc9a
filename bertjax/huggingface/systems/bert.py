"""BERT, ERNIE and RoBERTa: one network, under two sets of names for what stands on it.

Names are those of transformers modeling_bert.py, modeling_ernie.py, modeling_roberta.py and
modeling_roberta_prelayernorm.py. XLM-RoBERTa and CamemBERT are RoBERTa's network: they are read,
and written as RoBERTa.
"""

from __future__ import annotations

from typing import Any

from bertjax.config import ModelConfig
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

EMBEDDINGS = {
    "embeddings/word_embeddings": "embeddings.word_embeddings",
    "embeddings/position_embeddings": "embeddings.position_embeddings",
    "embeddings/token_type_embeddings": "embeddings.token_type_embeddings",
    "embeddings/norm": "embeddings.LayerNorm",
}
LAYERS = {
    "layer_{}/attention/query": "encoder.layer.{}.attention.self.query",
    "layer_{}/attention/key": "encoder.layer.{}.attention.self.key",
    "layer_{}/attention/value": "encoder.layer.{}.attention.self.value",
    "layer_{}/attention/output": "encoder.layer.{}.attention.output.dense",
    "layer_{}/attention_norm": "encoder.layer.{}.attention.output.LayerNorm",
    "layer_{}/feed_forward/intermediate": "encoder.layer.{}.intermediate.dense",
    "layer_{}/feed_forward/output": "encoder.layer.{}.output.dense",
    "layer_{}/feed_forward_norm": "encoder.layer.{}.output.LayerNorm",
}
ADAPTERS = {
    "layer_{}/attention_adapter": "encoder.layer.{}.attention.output",
    "layer_{}/feed_forward_adapter": "encoder.layer.{}.output",
}
POOLER = {"pooler/dense": "pooler.dense"}
BUFFERS = (r"embeddings\.(position_ids|token_type_ids)",)
CLASSIFIER = {"head/classifier": "classifier"}
MASKED_LM = {
    "masked_lm": "cls.predictions",
    "masked_lm/transform": "cls.predictions.transform.dense",
    "masked_lm/norm": "cls.predictions.transform.LayerNorm",
}
PAIRS = MASKED_LM | {"next_sentence/classifier": "cls.seq_relationship"}
FIELDS = (*sizes(), TYPES, epsilon(), *dropouts(), INITIAL)
HEADS = {
    "masked_lm": Head("ForMaskedLM", MASKED_LM),
    "pairs": Head("ForPreTraining", PAIRS, pooler=True),
} | task_heads(
    sentence=Head("ForSequenceClassification", CLASSIFIER, pooler=True),
    choice=Head("ForMultipleChoice", CLASSIFIER, pooler=True),
)

BERT = System(
    model_type="bert",
    class_prefix="Bert",
    prefix="bert.",
    fields=FIELDS,
    encoder=EMBEDDINGS | LAYERS,
    pooler=POOLER,
    heads=HEADS,
    decoder="cls.predictions.decoder",
    buffers=BUFFERS,
    adapters=ADAPTERS,
)


def _read_ernie(content: Content) -> dict[str, Any]:
    return {} if value_of(content, "use_task_id", bool, False) else {"task_vocab_size": 0}


def _write_ernie(cfg: ModelConfig, special: SpecialIds) -> Content:
    del special
    # Without the table the class asks for three rows all the same, and never looks at them.
    return {"use_task_id": cfg.task_vocab_size > 0} | (
        {} if cfg.task_vocab_size else {"task_type_vocab_size": 3}
    )


ERNIE = System(
    model_type="ernie",
    class_prefix="Ernie",
    prefix="ernie.",
    fields=(*FIELDS, Field("task_vocab_size", "task_type_vocab_size", int, 3)),
    encoder=EMBEDDINGS
    | {"embeddings/task_type_embeddings": "embeddings.task_type_embeddings"}
    | LAYERS,
    pooler=POOLER,
    heads=HEADS,
    decoder="cls.predictions.decoder",
    read=_read_ernie,
    write=_write_ernie,
    buffers=BUFFERS,
)

# Here the pooler is a part of the head, and called after what follows it. In training, dropout
# comes before it once more than in ours.
SENTENCE = Head(
    "ForSequenceClassification",
    {"pooler/dense": "classifier.dense", "head/classifier": "classifier.out_proj"},
)


def _roberta(
    model_type: str, class_prefix: str, *, pre_norm: bool = False, written_as: str = ""
) -> System:
    encoder = EMBEDDINGS | LAYERS
    if pre_norm:
        # A norm before its branch is named after the branch it feeds; one more is at the end.
        encoder |= {
            "layer_{}/attention_norm": "encoder.layer.{}.attention.LayerNorm",
            "layer_{}/feed_forward_norm": "encoder.layer.{}.intermediate.LayerNorm",
            "final_norm": "LayerNorm",
        }
    masked_lm = {
        "masked_lm": "lm_head",
        "masked_lm/transform": "lm_head.dense",
        "masked_lm/norm": "lm_head.layer_norm",
    }

    def read(content: Content) -> dict[str, Any]:
        del content
        # The head has the erf GELU whatever the layers have (RobertaLMHead).
        return {"norm": "pre" if pre_norm else "post", "head_activation": "gelu"}

    return System(
        model_type=model_type,
        class_prefix=class_prefix,
        prefix=f"{'roberta_prelayernorm' if pre_norm else 'roberta'}.",
        fields=FIELDS,
        encoder=encoder,
        pooler=POOLER,
        heads={"masked_lm": Head("ForMaskedLM", masked_lm)}
        | task_heads(sentence=SENTENCE, choice=Head("ForMultipleChoice", CLASSIFIER, pooler=True)),
        decoder="lm_head.decoder",
        read=read,
        shifts_positions=True,
        buffers=BUFFERS,
        adapters={} if pre_norm else ADAPTERS,
        written_as=written_as,
    )


ROBERTA = _roberta("roberta", "Roberta")
ROBERTA_PRE_NORM = _roberta("roberta-prelayernorm", "RobertaPreLayerNorm", pre_norm=True)
XLM_ROBERTA = _roberta("xlm-roberta", "XLMRoberta", written_as="roberta")
CAMEMBERT = _roberta("camembert", "Camembert", written_as="roberta")
