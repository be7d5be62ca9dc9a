"""Our parameter names and Hugging Face's: one table, its few exceptions, and the inverse.

A table has `{}` where the layer's number goes. It pairs modules; what is inside a module follows
from its kind. Names are those of huggingface/transformers modeling_bert.py, modeling_roberta.py
and modeling_roberta_prelayernorm.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from bertjax.config import ModelConfig
from bertjax.errors import UserError

_TABLE = {"embedding": "weight"}
_DENSE = {"kernel": "weight", "bias": "bias"}
_NORM = {"scale": "weight", "bias": "bias"}
_BIAS = {"bias": "bias"}

Modules = dict[str, tuple[str, dict[str, str]]]  # ours -> (theirs, names of the parameters inside)

# Under the model's prefix.
_ENCODER: Modules = {
    "embeddings/word_embeddings": ("embeddings.word_embeddings", _TABLE),
    "embeddings/position_embeddings": ("embeddings.position_embeddings", _TABLE),
    "embeddings/token_type_embeddings": ("embeddings.token_type_embeddings", _TABLE),
    "embeddings/norm": ("embeddings.LayerNorm", _NORM),
    "layer_{}/attention/query": ("encoder.layer.{}.attention.self.query", _DENSE),
    "layer_{}/attention/key": ("encoder.layer.{}.attention.self.key", _DENSE),
    "layer_{}/attention/value": ("encoder.layer.{}.attention.self.value", _DENSE),
    "layer_{}/attention/output": ("encoder.layer.{}.attention.output.dense", _DENSE),
    "layer_{}/attention_norm": ("encoder.layer.{}.attention.output.LayerNorm", _NORM),
    "layer_{}/feed_forward/intermediate": ("encoder.layer.{}.intermediate.dense", _DENSE),
    "layer_{}/feed_forward/output": ("encoder.layer.{}.output.dense", _DENSE),
    "layer_{}/feed_forward_norm": ("encoder.layer.{}.output.LayerNorm", _NORM),
}

# A norm before its branch is named after the branch it feeds, and there is one more at the end.
_PRE_NORM: Modules = {
    "layer_{}/attention_norm": ("encoder.layer.{}.attention.LayerNorm", _NORM),
    "layer_{}/feed_forward_norm": ("encoder.layer.{}.intermediate.LayerNorm", _NORM),
    "final_norm": ("LayerNorm", _NORM),
}

_POOLER: Modules = {"pooler/dense": ("pooler.dense", _DENSE)}

# Heads have no prefix.
_BERT_MASKED_LM: Modules = {
    "masked_lm": ("cls.predictions", _BIAS),
    "masked_lm/transform": ("cls.predictions.transform.dense", _DENSE),
    "masked_lm/norm": ("cls.predictions.transform.LayerNorm", _NORM),
}
_BERT_NEXT_SENTENCE: Modules = {"next_sentence/classifier": ("cls.seq_relationship", _DENSE)}
_ROBERTA_MASKED_LM: Modules = {
    "masked_lm": ("lm_head", _BIAS),
    "masked_lm/transform": ("lm_head.dense", _DENSE),
    "masked_lm/norm": ("lm_head.layer_norm", _NORM),
}


@dataclass(frozen=True)
class Architecture:
    """A class of `transformers` that computes exactly what a `ModelConfig` describes."""

    name: str  # the class
    model_type: str  # its name in config.json
    prefix: str  # of the encoder's tensors
    masked_lm: str  # module that holds the vocabulary bias and the tied decoder
    encoder: Modules
    heads: Modules

    @property
    def shifts_positions(self) -> bool:
        """Whether position 0 is row `pad_token_id + 1` of the table, RoBERTa's way, or row 0."""
        return self.model_type != "bert"


def architecture_of(cfg: ModelConfig) -> Architecture:
    """Return the class that holds this model; UserError if there is none."""
    if cfg.family == "bert" and cfg.norm == "post":
        if cfg.next_sentence_head:
            encoder, heads = _ENCODER | _POOLER, _BERT_MASKED_LM | _BERT_NEXT_SENTENCE
            return Architecture(
                "BertForPreTraining", "bert", "bert.", "cls.predictions", encoder, heads
            )
        return Architecture(
            "BertForMaskedLM", "bert", "bert.", "cls.predictions", _ENCODER, _BERT_MASKED_LM
        )
    if cfg.norm == "post":
        name, model_type, encoder = "RobertaForMaskedLM", "roberta", _ENCODER
    else:
        name, model_type = "RobertaPreLayerNormForMaskedLM", "roberta-prelayernorm"
        encoder = _ENCODER | _PRE_NORM
    if cfg.next_sentence_head:
        raise UserError(
            f"model.family={cfg.family} with model.norm={cfg.norm} is {name} on Hugging Face, "
            "which has no place for a next-sentence head: train with "
            "model.next_sentence_head=False, or export without the head"
        )
    if cfg.activation != "gelu":
        raise UserError(
            f"model.activation={cfg.activation}, but {name} on Hugging Face always has the erf "
            "form of GELU in its masked-LM head: use model.activation=gelu, or model.family=bert "
            "with model.norm=post"
        )
    prefix = model_type.replace("-", "_") + "."
    return Architecture(name, model_type, prefix, "lm_head", encoder, _ROBERTA_MASKED_LM)


def hub_names(cfg: ModelConfig) -> dict[str, str]:
    """Map the path of every parameter (`layer_0/attention/query/kernel`) to its tensor's name.

    Names are unique, so `{name: path for path, name in hub_names(cfg).items()}` is the inverse.
    Raises UserError where `architecture_of` does.
    """
    architecture = architecture_of(cfg)
    names: dict[str, str] = {}
    for prefix, modules in (
        (architecture.prefix, architecture.encoder),
        ("", architecture.heads),
    ):
        for ours, (theirs, leaves) in modules.items():
            for layer in range(cfg.num_layers if "{}" in ours else 1):
                module, hub_module = ours.format(layer), prefix + theirs.format(layer)
                names |= {f"{module}/{a}": f"{hub_module}.{b}" for a, b in leaves.items()}
    return names
