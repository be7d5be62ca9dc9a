"""ModernBERT-base: 22 layers × 768, 12 heads, gated layers of 1,152, every third sees whole rows.

    bertjax pretrain --config modernbert_base --workdir runs/x data.corpus=data/mycorpus

Source: Warner et al. 2024 (arXiv 2412.13663), tables 3 and 4;
the first of three phases in `bertjax.recipes.modern.modernbert_2024`.
Token budget: 364,000 steps × 4,608 rows of 1,024 tokens = 1.7 T tokens.
Published: 149M parameters; GLUE dev 88.5 (second-hand).
"""

from bertjax.config import ModelConfig, PretrainConfig
from bertjax.recipes.modern import modernbert_2024


def get_config() -> PretrainConfig:
    return modernbert_2024(
        ModelConfig(hidden_size=768, num_layers=22, num_heads=12, intermediate_size=1152),
        learning_rate=8e-4,
        warmup_tokens=3e9,
        batch_size=4608,
        steps=364_000,
    )
