"""ALBERT-base: 12 layers × 768, 12 heads, one set of weights for all of them, tables of 128.

    bertjax pretrain --config albert_base --workdir runs/x data.corpus=data/mycorpus

Source: Lan et al. 2020 (arXiv 1909.11942), tables 1 and 2; google-research/albert README; recipe
`bertjax.recipes.published.albert_2019`.
Token budget: 125k steps × 4,096 rows of 512 tokens = 262 G tokens.
Published: 12M parameters; mean of the README's tasks 82.3 (version 2, second-hand).
"""

from bertjax.config import ModelConfig, PretrainConfig
from bertjax.recipes.published import albert_2019


def get_config() -> PretrainConfig:
    return albert_2019(
        ModelConfig(hidden_size=768, num_layers=12, num_heads=12, intermediate_size=3072)
    )
