"""MobileBERT: 24 layers × 512, 128 wide inside, 4 heads, 4 feed-forwards a layer, words of 128.

    bertjax pretrain --config mobilebert --workdir runs/x data.corpus=data/mycorpus

Source: Sun et al. 2020 (arXiv 2004.02984), table 1; google-research/google-research mobilebert/
config/uncased_L-24_H-128_B-512_A-4_F-4_OPT.json;
recipe `bertjax.recipes.published.mobilebert_2020`.
Token budget: 500k steps × 2,048 rows of 512 tokens = 524 G tokens.
Published: 25.3M parameters without the head's table of 11.7M; GLUE test 77.7 with the teacher.
"""

from bertjax.config import ModelConfig, PretrainConfig
from bertjax.recipes.published import mobilebert_2020


def get_config() -> PretrainConfig:
    return mobilebert_2020(
        ModelConfig(
            hidden_size=512,
            num_layers=24,
            num_heads=4,
            intermediate_size=512,
            bottleneck_size=128,
            feed_forwards=4,
        )
    )
