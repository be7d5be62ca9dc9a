"""ALBERT-xxlarge: 12 layers × 4096, 64 heads, one set of weights for all of them, tables of 128.

    bertjax pretrain --config albert_xxlarge --workdir runs/x data.corpus=data/mycorpus

Source: Lan et al. 2020 (arXiv 1909.11942), tables 1 and 2; google-research/albert README; recipe
`bertjax.recipes.published.albert_2019`.
Token budget: 125k steps × 4,096 rows of 512 tokens = 262 G tokens.
Published: 235M parameters; mean of the README's tasks 90.9 (version 2, second-hand).
"""

from bertjax.config import ModelConfig, PretrainConfig
from bertjax.recipes.published import albert_2019


def get_config() -> PretrainConfig:
    return albert_2019(
        ModelConfig(hidden_size=4096, num_layers=12, num_heads=64, intermediate_size=16384)
    )
