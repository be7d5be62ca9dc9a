"""Every published size, without a weight: as many parameters as its class of transformers has."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import tiny_model
import torch
import transformers

from bertjax import model
from bertjax.config import ModelConfig, PretrainConfig
from bertjax.huggingface.config_json import first_position, from_hub_config, to_hub_config
from bertjax.huggingface.names import architecture_of
from bertjax.huggingface.systems import SYSTEMS
from bertjax.model.parameters import parameter_count
from bertjax.recipes.files import load_config

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
PIECES = {  # of the published vocabulary, and millions of parameters as published, heads included
    "bert_tiny": (30_522, 4.4),
    "bert_mini": (30_522, 11.2),
    "bert_small": (30_522, 28.8),
    "bert_medium": (30_522, 41.4),
    "bert_base": (30_522, 110),
    "bert_large": (30_522, 336),
    "roberta_base": (50_265, 125),
    "albert_base": (30_000, 12),
    "albert_large": (30_000, 18),
    "albert_xlarge": (30_000, 60),
    "albert_xxlarge": (30_000, 223),
    "electra_small": (30_522, 14),
    "electra_base": (30_522, 110),
    "electra_large": (30_522, 335),
    "modernbert_base": (50_368, 149),
    "modernbert_large": (50_368, 395),
    "neobert": (30_522, 222 + 23),
    "mobilebert": (30_522, 25.3 + 11.7),
    "mobilebert_tiny": (30_522, 15.1 + 11.7),
    "gpt1": (40_478, 117),
    "bert_wwm_zh": (21_128, 102),
}
# Published without a recipe of their own here: the config.json of their class says it all.
ELSEWHERE = {
    "distilbert": (transformers.DistilBertConfig(), 66),
    "ernie-1.0-base-zh": (
        transformers.ErnieConfig(vocab_size=18_000, max_position_embeddings=513, hidden_act="relu"),
        100,
    ),
    "roformer-chinese-base": (
        transformers.RoFormerConfig(vocab_size=50_000, max_position_embeddings=1536),
        124,
    ),
    "albert-xxlarge in two groups of two": (
        transformers.AlbertConfig(num_hidden_groups=2, inner_group_num=2),
        826,
    ),
    "eurobert-210m": (transformers.EuroBertConfig(num_hidden_layers=12), 311),
}


OUR_OWN = {"quickstart", "laptop", "strict_small", "causal_then_masked_mini", "two_corpora_mini"}


def their_count(content: dict, name: str) -> int:
    """Parameters of a class, each tied one once; on the device that holds no values."""
    made = getattr(transformers, name)
    with torch.device("meta"):
        built = made(made.config_class(**content))
    return sum(p.numel() for p in {id(p): p for p in built.parameters()}.values())


def our_count(cfg: ModelConfig, first: int = 0) -> int:
    """Ours, with the rows of the position table that the class has before position 0."""
    before = (first - cfg.position_offset) * cfg.table_size if cfg.positions == "table" else 0
    return parameter_count(cfg, model.abstract_params(cfg)) + before


def test_every_recipe_is_here():
    ours = {path.stem for path in CONFIGS.glob("*.py")} - OUR_OWN
    assert {name for name in ours if not name.startswith("budget_")} == PIECES.keys()


@pytest.mark.parametrize("name", PIECES)
def test_a_recipe_has_the_published_number_of_parameters(name):
    pieces, millions = PIECES[name]
    cfg = load_config(CONFIGS / f"{name}.py", PretrainConfig).with_trained_heads().model
    cfg = replace(cfg, vocab_size=pieces)
    architecture = architecture_of(cfg)
    content = to_hub_config(cfg, tiny_model.SPECIAL, architecture)
    first = first_position(architecture.system, tiny_model.SPECIAL)
    theirs = their_count(content, architecture.name)
    assert our_count(cfg, first) == theirs
    assert theirs / 1e6 == pytest.approx(millions, rel=0.03 if millions > 20 else 0.06)


@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_config_from_elsewhere_has_the_number_of_its_class(name):
    config, millions = ELSEWHERE[name]
    cfg = from_hub_config(config.to_dict(), Path(name))
    architecture = architecture_of(cfg)
    theirs = their_count(config.to_dict(), architecture.name)
    frozen = (cfg.max_positions * cfg.head_size) * bool(architecture.system.constants(cfg))
    assert our_count(cfg) == theirs - frozen
    assert theirs / 1e6 == pytest.approx(millions, rel=0.03)


@pytest.mark.parametrize(
    "model_type", sorted(SYSTEMS.keys() - {"neobert"})
)  # no class of transformers
def test_what_a_config_leaves_out_is_what_its_class_has(model_type):
    content = transformers.AutoConfig.for_model(model_type).to_dict()
    kept = {key: content[key] for key in ("model_type", "vocab_size", "pad_token_id")}
    assert from_hub_config(kept, Path("x")) == from_hub_config(content, Path("x"))
