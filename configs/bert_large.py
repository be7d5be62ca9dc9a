"""BERT-large: 24 layers × 1024, 16 heads.

    bertjax pretrain --config bert_large --workdir runs/x data.corpus=data/mycorpus

Source: Devlin et al. 2019, section 3; recipe `bertjax.recipes.published.bert_2018`.
Token budget: 1M steps × 256 rows, 90 % of 128 tokens and 10 % of 512 = 43 G tokens.
Published: GLUE test score 80.5 (convention test-F1).
"""

from bertjax.config import ModelConfig, PretrainConfig
from bertjax.recipes.published import bert_2018


def get_config() -> PretrainConfig:
    return bert_2018(
        ModelConfig(
            hidden_size=1024,
            num_layers=24,
            num_heads=16,
            intermediate_size=4096,
            activation="gelu_tanh",
        )
    )
