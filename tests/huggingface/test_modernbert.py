"""What ModernBERT's files say of heads, of which layers are local and of the rotation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import oracle_transformers as oracle
import pytest
from family import FAMILY

from bertjax import huggingface
from bertjax.config import ModelConfig
from bertjax.errors import UserError
from bertjax.huggingface.config_json import (
    from_hub_config,
    obstacle_to_export,
    to_hub_config,
)
from bertjax.huggingface.names import architecture_of
from bertjax.text.special import SpecialIds

SMALL: dict[str, Any] = FAMILY["modernbert"] | {
    "vocab_size": 100,
    "intermediate_size": 8,
    "num_layers": 2,
}
CONTENT = {"model_type": "modernbert", "vocab_size": 100}


def read(**fields: Any) -> ModelConfig:
    return from_hub_config(CONTENT | fields, Path("config.json"))


EXPORTED = {
    "head": {"global_every": 2, "activation": "silu", "head_activation": "relu"},
    "none local": {"local_window": 0, "rotary_base": 40.0},
}


@pytest.mark.parametrize("fields", EXPORTED.values(), ids=EXPORTED)
def test_what_is_exported_is_what_is_computed_and_read_back(fields, tmp_path) -> None:
    cfg = oracle.random_config(3, **SMALL | fields)
    params, batch = oracle.random_params(cfg, 3), oracle.random_batch(cfg, 0, 3)
    params["masked_lm"]["transform"]["kernel"] *= 8  # so that curves part
    tokenizer = oracle.tiny_tokenizer(cfg.vocab_size, 0, tmp_path)
    out = oracle.export(cfg, params, tokenizer, tmp_path / "hf")
    theirs = oracle.their_logits(oracle.load(out), batch)
    oracle.assert_same_logits(oracle.our_logits(cfg, params, batch), theirs, batch, 1e-5)
    again = huggingface.import_model(out).cfg
    assert again.layer_specs == cfg.layer_specs
    assert again.head_activation == cfg.head_activation


def test_the_curve_of_the_heads_is_their_own() -> None:
    assert read(hidden_activation="relu").head_activation == "gelu"
    assert read(classifier_activation="silu").head_activation == "silu"
    assert read(hidden_activation="relu", classifier_activation="relu").head_activation == ""
    with pytest.raises(UserError, match="classifier_activation='mish' is not supported"):
        read(classifier_activation="mish")
    cfg = ModelConfig(**SMALL | {"activation": "silu"})
    written = to_hub_config(cfg, SpecialIds(0, 1, 2, 3, 4), architecture_of(cfg))
    assert written["classifier_activation"] == "silu"


def test_which_layers_are_local_is_what_they_compute() -> None:
    """Of several fields that make the same layers, each is exported, and read as the plainest."""
    kinds = ["full_attention", "sliding_attention"]
    for fields in ({"local_window": 0}, {"global_every": 1}, {"num_layers": 1}):
        assert obstacle_to_export(ModelConfig(**SMALL | fields)) == ""
    assert obstacle_to_export(ModelConfig(**SMALL | {"global_every": 2})) == ""
    for width in (0, 1, 128):
        cfg = read(layer_types=kinds[:1] * 2, num_hidden_layers=2, local_attention=width)
        assert (cfg.local_window, cfg.global_every) == (0, 1)
    assert read(layer_types=kinds, num_hidden_layers=2, local_attention=3).local_window == 1
    for fields in ({"layer_types": kinds}, {"global_attn_every_n_layers": 2}):
        for width in (0, 1):
            with pytest.raises(UserError, match=f"local_attention={width}: only local layers that"):
                read(num_hidden_layers=2, local_attention=width, **fields)
    other = ModelConfig(**SMALL | {"num_layers": 4, "first_norm": True, "global_every": 4})
    assert "model.first_norm=True: " in obstacle_to_export(other)
