"""GPT-1: 12 layers × 768, 12 heads, each token from those before it.

    bertjax pretrain --config gpt1 --workdir runs/x data.corpus=data/mycorpus

Source: Radford et al. 2018, section 4.1; recipe `bertjax.recipes.published.gpt_2018`.
Token budget: 3M steps × 64 rows of 512 tokens = 98 G tokens.
Published: 117M parameters; GLUE mean 72.8 (test), its section 4.2.
"""

from bertjax.config import ModelConfig, PretrainConfig
from bertjax.recipes.published import gpt_2018


def get_config() -> PretrainConfig:
    return gpt_2018(ModelConfig())
