"""BERT-mini in 25 minutes of one GPU: 4 layers × 256, 4 heads.

    scripts/from_text.sh budget_mini my_bert text/*.txt

Source: our own; recipe `bertjax.recipes.budgets.budget`.
Token budget: what the device does in 25 minutes; train.minutes=60 takes an hour.
Published: none; docs/performance.md has what was measured.
"""

from bertjax.config import ModelConfig, PretrainConfig
from bertjax.recipes.budgets import budget


def get_config() -> PretrainConfig:
    return budget(ModelConfig(hidden_size=256, num_layers=4, num_heads=4, intermediate_size=1024))
