"""Chinese BERT-base with whole-word masking (BERT-wwm): 12 layers × 768, 12 heads.

    bertjax pretrain --config bert_wwm_zh --workdir runs/x data.corpus=data/zh

Source: Cui et al. 2019 (arXiv 1906.08101), section 3; recipe
`bertjax.recipes.published.hfl_2019`. The corpus is made with `bertjax prepare --language zh
--vocab-size 21128`, or with Google's `vocab.txt`.
Token budget: 100k steps × 2,560 rows of 128 tokens and 100k × 384 of 512 = 52 G tokens.
Published: 102M parameters; CMRC 2018 dev 66.3 / 85.6 (EM / F1, best of ten).
"""

from bertjax.config import ModelConfig, PretrainConfig
from bertjax.recipes.published import hfl_2019


def get_config() -> PretrainConfig:
    return hfl_2019(ModelConfig(activation="gelu_tanh"))
