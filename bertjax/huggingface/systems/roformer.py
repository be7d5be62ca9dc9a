"""RoFormer: BERT with rotary positions instead of a table (transformers modeling_roformer.py)."""

from __future__ import annotations

from typing import Any

import numpy as np

from bertjax.config import ModelConfig
from bertjax.huggingface.systems.activations import activation_of
from bertjax.huggingface.systems.bert import BUFFERS, MASKED_LM
from bertjax.huggingface.systems.electra import ELECTRA, SENTENCE, choice, table_width
from bertjax.huggingface.systems.system import (
    INITIAL,
    TYPES,
    Content,
    Head,
    System,
    dropouts,
    epsilon,
    refuse_unless,
    sizes,
    task_heads,
)
from bertjax.text.special import SpecialIds


def _read_roformer(content: Content) -> dict[str, Any]:
    refuse_unless(content, "rotary_value", False, reason="only queries and keys are turned")
    return {
        "embedding_size": table_width(content, None),
        "positions": "rotary",
        "pooler": activation_of(content, "hidden_act", "gelu"),  # as in the layers
    }


def _write_roformer(cfg: ModelConfig, special: SpecialIds) -> Content:
    del special
    return {"embedding_size": cfg.table_size, "rotary_value": False}


def side_by_side(cfg: ModelConfig) -> np.ndarray:
    """Rows of queries or keys where heads turn neighbours 2m and 2m + 1, and not m and m + H/2."""
    places = np.arange(cfg.hidden_size).reshape(cfg.num_heads, 2, -1)
    return places.swapaxes(1, 2).ravel()


def _rows(cfg: ModelConfig, paths: tuple[str, ...]) -> np.ndarray | None:
    turned = "/attention/query/" in paths[0] or "/attention/key/" in paths[0]
    return side_by_side(cfg) if turned else None


def _sinusoids(cfg: ModelConfig) -> dict[str, np.ndarray]:
    """The angles of positions, which it keeps as a frozen table: sines, then cosines."""
    exponents = np.arange(0, cfg.head_size, 2) / cfg.head_size
    angles = np.arange(cfg.max_positions)[:, None] / 10_000.0**exponents
    table = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
    return {"encoder.embed_positions.weight": table.astype(np.float32)}


ROFORMER = System(
    model_type="roformer",
    class_prefix="RoFormer",
    prefix="roformer.",
    fields=(*sizes(vocab_size=50000), TYPES, epsilon(), *dropouts(), INITIAL),
    encoder=ELECTRA.encoder,
    pooler={},
    heads={"masked_lm": Head("ForMaskedLM", MASKED_LM)}
    | task_heads(
        sentence=Head("ForSequenceClassification", SENTENCE),
        # As published it takes the last place of a row, be it padding.
        choice=choice("last", False, None, 0.0),
    ),
    decoder="cls.predictions.decoder",
    read=_read_roformer,
    default_rows=1536,
    write=_write_roformer,
    rows=_rows,
    constants=_sinusoids,
    buffers=BUFFERS,
)
