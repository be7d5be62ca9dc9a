"""GPT-1, which reads from left to right (transformers modeling_openai.py)."""

from __future__ import annotations

from typing import Any

from bertjax.config import ModelConfig
from bertjax.huggingface.systems.system import (
    INITIAL,
    Content,
    Head,
    System,
    dropouts,
    epsilon,
    refuse_unless,
    sizes,
    value_of,
)
from bertjax.text.special import SpecialIds

_GPT = {
    "embeddings/word_embeddings": "tokens_embed",
    "embeddings/position_embeddings": "positions_embed",
    ("layer_{}/attention/query", "layer_{}/attention/key", "layer_{}/attention/value"): (
        "h.{}.attn.c_attn"
    ),
    "layer_{}/attention/output": "h.{}.attn.c_proj",
    "layer_{}/attention_norm": "h.{}.ln_1",
    "layer_{}/feed_forward/intermediate": "h.{}.mlp.c_fc",
    "layer_{}/feed_forward/output": "h.{}.mlp.c_proj",
    "layer_{}/feed_forward_norm": "h.{}.ln_2",
}
# Its "gelu" is the tanh form.
_AFN = {"gelu": "gelu_tanh", "relu": "relu", "silu": "silu", "swish": "silu"}


def _read_gpt(content: Content) -> dict[str, Any]:
    refuse_unless(content, "afn", *_AFN, reason=f"known are {', '.join(_AFN)}")
    return {
        "intermediate_size": 4 * value_of(content, "n_embd", int, 768),
        "activation": _AFN[content.get("afn") or "gelu"],
        "attention": "causal",
        "embedding_norm": False,
        "type_vocab_size": 0,
        "head_transform": False,
        "head_bias": False,
    }


def _write_gpt(cfg: ModelConfig, special: SpecialIds) -> Content:
    del special
    names = {"gelu_tanh": "gelu", "relu": "relu", "silu": "silu"}
    return {"afn": names.get(cfg.activation, "gelu"), "embd_pdrop": cfg.hidden_dropout}


_SENTENCE = Head(
    "ForSequenceClassification",
    {"head/classifier": "score"},
    dropout="",
    pooling="last",
    bias=False,
)
OPENAI_GPT = System(
    model_type="openai-gpt",
    class_prefix="OpenAIGPT",
    prefix="transformer.",
    fields=(
        *sizes("n_embd n_layer n_head", (768, 12, 12), vocab_size=40478),
        epsilon("layer_norm_epsilon", 1e-5),
        *dropouts("resid_pdrop", "attn_pdrop"),
        INITIAL,
    ),
    encoder=_GPT,
    pooler={},
    heads={"masked_lm": Head("LMHeadModel")}
    | dict.fromkeys(("classification", "multi_label", "regression"), _SENTENCE),
    decoder="lm_head",
    read=_read_gpt,
    write=_write_gpt,
    activation="",
    position_rows="n_positions",
    transposed=False,
    buffers=(r"h\.\d+\.attn\.bias",),
)
