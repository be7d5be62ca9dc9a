"""ModernBERT: rotary positions, gated layers without biases, some of which see only near tokens.

Names and words are those of transformers modeling_modernbert.py.
"""

from __future__ import annotations

from typing import Any

from bertjax.config import ModelConfig
from bertjax.huggingface.systems.activations import ACTIVATIONS, activation_of
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
    short,
    sizes,
    task_heads,
    value_of,
)
from bertjax.text.special import SpecialIds

_MODERN = {
    "embeddings/word_embeddings": "embeddings.tok_embeddings",
    "embeddings/norm": "embeddings.norm",
    "layer_{}/attention_norm": "layers.{}.attn_norm",
    ("layer_{}/attention/query", "layer_{}/attention/key", "layer_{}/attention/value"): (
        "layers.{}.attn.Wqkv"
    ),
    "layer_{}/attention/output": "layers.{}.attn.Wo",
    "layer_{}/feed_forward_norm": "layers.{}.mlp_norm",
    ("layer_{}/feed_forward/intermediate", "layer_{}/feed_forward/gate"): "layers.{}.mlp.Wi",
    "layer_{}/feed_forward/output": "layers.{}.mlp.Wo",
    "final_norm": "final_norm",
}
_TRANSFORM = {"masked_lm/transform": "head.dense", "masked_lm/norm": "head.norm"}
_TASK = _TRANSFORM | CLASSIFIER


def _bases(content: Content) -> tuple[float, float]:
    """θ of layers that see whole rows, and of local ones: as today's files say it, or older."""
    parameters = value_of(content, "rope_parameters", dict, {})
    of_both = rotation_of(content, "rope_scaling")  # which have precedence there too

    def base(kind: str, older: str, default: float) -> float:
        of_kind = rotation_of(parameters, kind) | of_both
        return value_of(of_kind, "rope_theta", float, value_of(content, older, float, default))

    whole = base("full_attention", "global_rope_theta", 160_000.0)
    return whole, base("sliding_attention", "local_rope_theta", 10_000.0)


def _global_every(content: Content) -> int:
    """n, of layers 0, n, 2n ... that see whole rows: as today's files say it, or older."""
    kinds = value_of(content, "layer_types", list, [])
    if not kinds:
        return value_of(content, "global_attn_every_n_layers", int, 3)
    whole = [i for i, kind in enumerate(kinds) if kind == "full_attention"]
    every = whole[1] if len(whole) > 1 else len(kinds)
    if whole != list(range(0, len(kinds), every)):
        raise ValueError(
            f"layer_types has whole rows in layers {short(whole)}: only every n-th from layer 0 on "
            "is supported"
        )
    return every


def _local_window(content: Content, every: int) -> int:
    """Keys to each side that a local layer sees: half of local_attention; 0 where none is local."""
    width = value_of(content, "local_attention", int, 128)
    if every == 1:
        return 0
    if width < 2:
        raise ValueError(
            f"local_attention={width}: only local layers that see a neighbour, from 2 on, are "
            "supported"
        )
    return width // 2


def _read_modern(content: Content) -> dict[str, Any]:
    for key in ("norm_bias", "attention_bias", "mlp_bias", "classifier_bias"):
        refuse_unless(content, key, False, reason="only models without biases are supported")
    whole_base, local_base = _bases(content)
    every = _global_every(content)
    return {
        "positions": "rotary",
        "rotary_base": whole_base,
        "local_rotary_base": local_base,
        "local_window": _local_window(content, every),
        "global_every": every,
        "norm": "pre",
        "norm_bias": False,
        "first_norm": False,
        "linear_bias": False,
        "feed_forward": "glu",
        "type_vocab_size": 0,
        "pooler": "transform",
        # That of every head's transform, whatever the layers have.
        "head_activation": activation_of(content, "classifier_activation", "gelu"),
        "head_bias": value_of(content, "decoder_bias", bool, True),
    }


def _write_modern(cfg: ModelConfig, special: SpecialIds) -> Content:
    whole = [not cfg.local_window or i % cfg.global_every == 0 for i in range(cfg.num_layers)]
    kinds = ["full_attention" if one else "sliding_attention" for one in whole]
    bases = {"full_attention": cfg.rotary_base, "sliding_attention": cfg.local_rotary_base}
    return {
        "layer_types": kinds,
        "rope_parameters": {
            kind: {"rope_type": "default", "rope_theta": base} for kind, base in bases.items()
        },
        "local_attention": 2 * cfg.local_window or 128,  # as by default, where no layer is local
        "norm_bias": False,
        "attention_bias": False,
        "mlp_bias": False,
        "classifier_bias": False,
        "classifier_activation": ACTIVATIONS[cfg.head_activation or cfg.activation],
        "decoder_bias": cfg.head_bias,
        "cls_token_id": special.cls,
        "sep_token_id": special.sep,
    }


MODERNBERT = System(
    model_type="modernbert",
    class_prefix="ModernBert",
    prefix="model.",
    fields=(
        *sizes(defaults=(768, 22, 12, 1152), vocab_size=50368),
        epsilon("norm_eps", 1e-5),
        Field("hidden_dropout", "mlp_dropout", float, 0.0),
        Field("attention_dropout", "attention_dropout", float, 0.0),
        INITIAL,
    ),
    encoder=_MODERN,
    pooler={},
    heads={"masked_lm": Head("ForMaskedLM", _TRANSFORM | {"masked_lm/bias": "decoder.bias"})}
    | task_heads(
        sentence=Head("ForSequenceClassification", _TASK, default_dropout=0.0),
        token=Head("ForTokenClassification", _TASK, default_dropout=0.0),
        span=Head("ForQuestionAnswering", _TASK, default_dropout=0.0),
        choice=Head("ForMultipleChoice", _TASK, default_dropout=0.0),
    ),
    decoder="decoder",
    read=_read_modern,
    write=_write_modern,
    activation="hidden_activation",
    default_rows=8192,
    pooling=Pooling("classifier_pooling", {"cls": "cls", "mean": "mean"}, default="cls"),
)
