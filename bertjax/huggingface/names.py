"""Our parameter names and Hugging Face's: one table, its few exceptions, and the inverse.

A table has `{}` where the layer's number goes. It pairs modules; what is inside a module follows
from its kind. Names are those of huggingface/transformers modeling_bert.py, modeling_roberta.py
and modeling_roberta_prelayernorm.py.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from bertjax.config import HeadConfig, ModelConfig
from bertjax.errors import UserError
from bertjax.model.task import SENTENCE_FAMILIES, TaskShape

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


# By task family; a class is named after its model type and this.
_TASK_CLASSES = {
    "classification": "ForSequenceClassification",
    "multi_label": "ForSequenceClassification",
    "regression": "ForSequenceClassification",
    "tagging": "ForTokenClassification",
    "span_qa": "ForQuestionAnswering",
    "multiple_choice": "ForMultipleChoice",
}
_CLASSIFIER: Modules = {"head/classifier": ("classifier", _DENSE)}
_SPAN: Modules = {"head/classifier": ("qa_outputs", _DENSE)}
# Here the pooler is a part of the head, and called after what follows it. In training, dropout
# comes before it once more than in ours.
_ROBERTA_SENTENCE: Modules = {
    "pooler/dense": ("classifier.dense", _DENSE),
    "head/classifier": ("classifier.out_proj", _DENSE),
}

# The last two are RoBERTa's network under other names: they are read, and written as RoBERTa.
CLASS_PREFIXES = {
    "bert": "Bert",
    "roberta": "Roberta",
    "roberta-prelayernorm": "RobertaPreLayerNorm",
    "xlm-roberta": "XLMRoberta",
    "camembert": "Camembert",
}


@dataclass(frozen=True)
class Architecture:
    """A class of `transformers` that computes exactly what a config describes."""

    name: str  # the class
    model_type: str  # its name in config.json
    prefix: str  # of the encoder's tensors
    encoder: Modules
    heads: Modules
    masked_lm: str = ""  # module that holds the vocabulary bias and the tied decoder, if it has one


def model_type_of(cfg: ModelConfig) -> str:
    """Return the model type whose classes hold this encoder; pre-norm is RoBERTa's alone."""
    return "roberta-prelayernorm" if cfg.norm == "pre" else cfg.family


def shifts_positions(cfg: ModelConfig) -> bool:
    """Whether position 0 is row `pad_token_id + 1` of the table, RoBERTa's way, or row 0."""
    return model_type_of(cfg) != "bert"


def architecture_of(cfg: ModelConfig) -> Architecture:
    """Return the class that holds this model with its pretraining heads; UserError if none does."""
    model_type = model_type_of(cfg)
    if model_type == "bert":
        if not cfg.next_sentence_head:
            return _architecture(cfg, "ForMaskedLM", {}, _BERT_MASKED_LM, "cls.predictions")
        heads = _BERT_MASKED_LM | _BERT_NEXT_SENTENCE
        return _architecture(cfg, "ForPreTraining", _POOLER, heads, "cls.predictions")
    name = f"{CLASS_PREFIXES[model_type]}ForMaskedLM"
    if cfg.next_sentence_head:
        raise UserError(
            f"model.family={cfg.family} with model.norm={cfg.norm} is {name} on Hugging Face, "
            "which has no place for a next-sentence head: train with "
            "model.next_sentence_head=False, or export without the head"
        )
    return _architecture(cfg, "ForMaskedLM", {}, _ROBERTA_MASKED_LM, "lm_head")


def task_architecture(cfg: ModelConfig, head: HeadConfig, shape: TaskShape) -> Architecture:
    """Return the class that holds this model with this head; UserError if none does."""
    suffix = _TASK_CLASSES[shape.family]
    _refuse_parts(head, shape, CLASS_PREFIXES[model_type_of(cfg)] + suffix)
    if shape.family == "tagging":
        return _architecture(cfg, suffix, {}, _CLASSIFIER)
    if shape.family == "span_qa":
        return _architecture(cfg, suffix, {}, _SPAN)
    if shape.family != "multiple_choice" and model_type_of(cfg) != "bert":
        return _architecture(cfg, suffix, {}, _ROBERTA_SENTENCE)
    return _architecture(cfg, suffix, _POOLER, _CLASSIFIER)


def encoder_architecture(cfg: ModelConfig, *, pooler: bool) -> Architecture:
    """Return the class of the encoder alone, which may have a pooler."""
    return replace(_architecture(cfg, "Model", _POOLER if pooler else {}, {}), prefix="")


def task_class_families(model_type: str, name: str) -> tuple[str, ...]:
    """Return the task families that a class of transformers may hold; none if it has no head."""
    prefix = CLASS_PREFIXES[model_type]
    return tuple(family for family, suffix in _TASK_CLASSES.items() if prefix + suffix == name)


def _architecture(
    cfg: ModelConfig, suffix: str, pooler: Modules, heads: Modules, masked_lm: str = ""
) -> Architecture:
    model_type = model_type_of(cfg)
    encoder = _ENCODER | (_PRE_NORM if cfg.norm == "pre" else {}) | pooler
    name, prefix = CLASS_PREFIXES[model_type] + suffix, model_type.replace("-", "_") + "."
    return Architecture(name, model_type, prefix, encoder, heads, masked_lm)


def _refuse_parts(head: HeadConfig, shape: TaskShape, name: str) -> None:
    """Refuse what no class of transformers has between the encoder and the classifier."""
    parts = {
        f"head.fusion={head.fusion}": head.fusion != "none",
        f"head.sequence={head.sequence}": head.sequence != "none",
        "head.crf=true": head.crf,
        "head.pooling=mean": head.pooling == "mean" and shape.family in SENTENCE_FAMILIES,
    }
    for part, used in parts.items():
        if used:
            raise UserError(
                f"{part}: {name} on Hugging Face has no place for it: export the encoder alone "
                "(--encoder), or train a head without it"
            )


def hub_names(cfg: ModelConfig, architecture: Architecture | None = None) -> dict[str, str]:
    """Map the path of every parameter (`layer_0/attention/query/kernel`) to its tensor's name.

    Names are unique, so `{name: path for path, name in hub_names(cfg).items()}` is the inverse.
    Without an architecture it is that of pretraining; raises UserError where `architecture_of`
    does.
    """
    architecture = architecture or architecture_of(cfg)
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
