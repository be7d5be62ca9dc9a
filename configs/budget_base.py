"""BERT-base in 25 minutes of one GPU: 12 layers × 768, 12 heads.

    scripts/from_text.sh budget_base my_bert text/*.txt

Source: our own; recipe `bertjax.recipes.budgets.budget`.
Token budget: what the device does in 25 minutes; train.minutes=60 takes an hour.
Published: none, and not measured yet; docs/performance.md has the speed of its step.
"""

from bertjax.config import ModelConfig, PretrainConfig
from bertjax.recipes.budgets import budget


def get_config() -> PretrainConfig:
    return budget(ModelConfig(hidden_size=768, num_layers=12, num_heads=12, intermediate_size=3072))
