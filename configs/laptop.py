"""BERT-mini in 30 minutes of a laptop: 4 layers × 256, 4 heads, float32.

    bertjax pretrain --config laptop --workdir runs/x data.corpus=data/mycorpus

Source: our own; recipe `bertjax.recipes.budgets.laptop`.
Token budget: what the machine does in 30 minutes; train.minutes=120 takes two hours.
Published: none; docs/LOG.md has what was measured.
"""

from bertjax.config import ModelConfig, PretrainConfig
from bertjax.recipes.budgets import laptop


def get_config() -> PretrainConfig:
    return laptop(ModelConfig(hidden_size=256, num_layers=4, num_heads=4, intermediate_size=1024))
