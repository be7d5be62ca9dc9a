"""NeoBERT's own files, which need none of its code: read, and written as EuroBERT.

Names and words are those of chandar-lab/NeoBERT model.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bertjax.config import ModelConfig
from bertjax.huggingface.systems.eurobert import EUROBERT
from bertjax.huggingface.systems.roformer import side_by_side
from bertjax.huggingface.systems.system import (
    Content,
    Head,
    System,
    epsilon,
    refuse_unless,
    sizes,
    value_of,
)

_LAYER = "transformer_encoder.{}"
_ENCODER = {
    "embeddings/word_embeddings": "encoder",
    "layer_{}/attention_norm": f"{_LAYER}.attention_norm",
    ("layer_{}/attention/query", "layer_{}/attention/key", "layer_{}/attention/value"): (
        f"{_LAYER}.qkv"
    ),
    "layer_{}/attention/output": f"{_LAYER}.wo",
    "layer_{}/feed_forward_norm": f"{_LAYER}.ffn_norm",
    ("layer_{}/feed_forward/intermediate", "layer_{}/feed_forward/gate"): f"{_LAYER}.ffn.w12",
    "layer_{}/feed_forward/output": f"{_LAYER}.ffn.w3",
    "final_norm": "layer_norm",
}


def _read(content: Content) -> dict[str, Any]:
    refuse_unless(content, "hidden_act", "SwiGLU", "swiglu", reason="only SwiGLU is supported")
    refuse_unless(content, "rope", True, reason="only rotary positions are supported")
    refuse_unless(content, "rms_norm", True, reason="only RMS norms are supported")
    # Two thirds for the gate's sake, then whole eights.
    width = int(2 * value_of(content, "intermediate_size", int, 3072) / 3)
    network = EUROBERT.read({"rope_theta": 10_000.0, "mlp_bias": True})
    return network | {
        "activation": "silu",
        "intermediate_size": 8 * -(-width // 8),
        "attention_dropout": 0.0,
    }


def _rows(cfg: ModelConfig, paths: tuple[str, ...]) -> np.ndarray | None:
    """Head by head its queries, keys and values, of which the first two turn neighbours."""
    if "/attention/query/" not in paths[0]:
        return None
    parts = [side_by_side(cfg), side_by_side(cfg), np.arange(cfg.hidden_size)]
    heads = [part.reshape(cfg.num_heads, -1) + i * cfg.hidden_size for i, part in enumerate(parts)]
    return np.stack(heads, axis=1).ravel()


NEOBERT = System(
    model_type="neobert",
    class_prefix="NeoBERT",
    prefix="model.",
    fields=(
        *sizes(
            "hidden_size num_hidden_layers num_attention_heads", (768, 28, 12), vocab_size=30522
        ),
        epsilon("norm_eps", 1e-6),
    ),
    encoder=_ENCODER,
    pooler={},
    heads={
        "masked_lm": Head(
            "LMHead", {"masked_lm/decoder": "decoder.weight", "masked_lm/bias": "decoder.bias"}
        )
    },
    decoder="decoder",
    read=_read,
    activation="",
    position_rows="max_length",
    default_rows=1024,
    rows=_rows,
    written_as="eurobert",
    own_code=True,
)
