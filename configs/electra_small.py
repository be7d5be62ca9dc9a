"""ELECTRA-small: 12 layers × 256, 4 heads, tables of 128; its generator is 12 layers × 64, 1 head.

    bertjax pretrain --config electra_small --workdir runs/x data.corpus=data/mycorpus

Source: Clark et al. 2020, table 6; google-research/electra configure_pretraining.py; recipe
`bertjax.recipes.published.electra_2020`. The released model had a generator as wide as itself
(README there): replaced_tokens.generator_size=1.
Token budget: 1M steps × 128 rows of 128 tokens = 16 G tokens.
Published: GLUE by task in google-research/electra README: MNLI 81.3, SST-2 91.2, CoLA 57.0.
"""

from bertjax.config import ModelConfig, Phase, PretrainConfig
from bertjax.recipes.published import electra_2020


def get_config() -> PretrainConfig:
    return electra_2020(
        ModelConfig(
            hidden_size=256,
            embedding_size=128,
            num_layers=12,
            num_heads=4,
            intermediate_size=1024,
        ),
        phase=Phase(seq_len=128, batch_size=128),
        steps=1_000_000,
        learning_rate=5e-4,
        generator_size=0.25,
    )
