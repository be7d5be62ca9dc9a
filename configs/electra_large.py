"""ELECTRA-large: 24 layers × 1024, 16 heads; its generator is 24 layers × 256, 4 heads.

    bertjax pretrain --config electra_large --workdir runs/x data.corpus=data/mycorpus

Source: Clark et al. 2020, table 6, ELECTRA-400K; the released model trained 1.75M steps;
google-research/electra configure_pretraining.py; recipe `bertjax.recipes.published.electra_2020`.
Token budget: 400k steps × 2,048 rows of 512 tokens = 419 G tokens.
Published: GLUE by task in google-research/electra README, after 1.75M steps: MNLI 90.9, SST-2 96.9.
"""

from bertjax.config import ModelConfig, Phase, PretrainConfig
from bertjax.recipes.published import electra_2020


def get_config() -> PretrainConfig:
    return electra_2020(
        ModelConfig(hidden_size=1024, num_layers=24, num_heads=16, intermediate_size=4096),
        phase=Phase(seq_len=512, batch_size=2048),
        steps=400_000,
        learning_rate=2e-4,
        generator_size=0.25,
        rate=0.25,
    )
