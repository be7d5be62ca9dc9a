"""ELECTRA-base: 12 layers × 768, 12 heads; its generator is 12 layers × 256, 4 heads.

    bertjax pretrain --config electra_base --workdir runs/x data.corpus=data/mycorpus

Source: Clark et al. 2020, table 6; google-research/electra configure_pretraining.py; recipe
`bertjax.recipes.published.electra_2020`.
Token budget: 766k steps × 256 rows of 512 tokens = 100 G tokens.
Published: GLUE by task in google-research/electra README: MNLI 88.8, SST-2 95.1, CoLA 67.7.
"""

from bertjax.config import ModelConfig, Phase, PretrainConfig
from bertjax.recipes.published import electra_2020


def get_config() -> PretrainConfig:
    return electra_2020(
        ModelConfig(hidden_size=768, num_layers=12, num_heads=12, intermediate_size=3072),
        phase=Phase(seq_len=512, batch_size=256),
        steps=766_000,
        learning_rate=2e-4,
        generator_size=1 / 3,
    )
