"""BERT-medium: 8 layers × 512, 8 heads.

    bertjax pretrain --config bert_medium --workdir runs/x data.corpus=data/mycorpus

Source: Turc et al. 2019 (arXiv 1908.08962); google-research/bert README.md; recipe
`bertjax.recipes.published.bert_2018`.
Token budget: 1M steps × 256 rows, 90 % of 128 tokens and 10 % of 512 = 43 G tokens.
Published: GLUE test score 73.5 (convention test-F1).
"""

from bertjax.config import ModelConfig, PretrainConfig
from bertjax.recipes.published import bert_2018


def get_config() -> PretrainConfig:
    return bert_2018(
        ModelConfig(
            hidden_size=512,
            num_layers=8,
            num_heads=8,
            intermediate_size=2048,
            activation="gelu_tanh",
        )
    )
