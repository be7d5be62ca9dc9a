"""BERT-base: 12 layers × 768, 12 heads.

    bertjax pretrain --config bert_base --workdir runs/x data.corpus=data/mycorpus

Source: Devlin et al. 2019, section 3; recipe `bertjax.recipes.published.bert_2018`.
Token budget: 1M steps × 256 rows, 90 % of 128 tokens and 10 % of 512 = 43 G tokens.
Published: GLUE test score 78.3 (convention test-F1).
"""

from bertjax.config import ModelConfig, PretrainConfig
from bertjax.recipes.published import bert_2018


def get_config() -> PretrainConfig:
    return bert_2018(
        ModelConfig(
            hidden_size=768,
            num_layers=12,
            num_heads=12,
            intermediate_size=3072,
            activation="gelu_tanh",
        )
    )
