"""ALBERT-large: 24 layers × 1024, 16 heads, one set of weights for all of them, tables of 128.

    bertjax pretrain --config albert_large --workdir runs/x data.corpus=data/mycorpus

Source: Lan et al. 2020 (arXiv 1909.11942), tables 1 and 2; google-research/albert README; recipe
`bertjax.recipes.published.albert_2019`.
Token budget: 125k steps × 4,096 rows of 512 tokens = 262 G tokens.
Published: 18M parameters; mean of the README's tasks 85.7 (version 2, second-hand).
"""

from bertjax.config import ModelConfig, PretrainConfig
from bertjax.recipes.published import albert_2019


def get_config() -> PretrainConfig:
    return albert_2019(
        ModelConfig(hidden_size=1024, num_layers=24, num_heads=16, intermediate_size=4096)
    )
