"""ALBERT-xlarge: 24 layers × 2048, 16 heads, one set of weights for all of them, tables of 128.

    bertjax pretrain --config albert_xlarge --workdir runs/x data.corpus=data/mycorpus

Source: Lan et al. 2020 (arXiv 1909.11942), tables 1 and 2; google-research/albert README; recipe
`bertjax.recipes.published.albert_2019`.
Token budget: 125k steps × 4,096 rows of 512 tokens = 262 G tokens.
Published: 60M parameters; mean of the README's tasks 87.9 (version 2, second-hand).
"""

from bertjax.config import ModelConfig, PretrainConfig
from bertjax.recipes.published import albert_2019


def get_config() -> PretrainConfig:
    return albert_2019(
        ModelConfig(hidden_size=2048, num_layers=24, num_heads=16, intermediate_size=8192)
    )
