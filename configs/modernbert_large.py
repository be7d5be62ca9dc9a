"""ModernBERT-large: 28 layers × 1024, 16 heads, gated layers of 2,624, every third sees whole rows.

    bertjax pretrain --config modernbert_large --workdir runs/x data.corpus=data/mycorpus

Source: Warner et al. 2024 (arXiv 2412.13663), tables 3 and 4;
the first of three phases in `bertjax.recipes.modern.modernbert_2024`.
Departures beside those named there: one rate and fresh weights. Theirs were tiled from base; after
some 900 G tokens they went back to an earlier state and on from there at 5e-5, with a decay of
1e-6, for 800 G (second-hand): a second run here, with `--init` and optim.learning_rate=5e-5.
Token budget: 340,000 steps × 4,928 rows of 1,024 tokens = 1.7 T tokens.
Published: 395M parameters; GLUE dev 90.5 (second-hand).
"""

from bertjax.config import ModelConfig, PretrainConfig
from bertjax.recipes.modern import modernbert_2024


def get_config() -> PretrainConfig:
    return modernbert_2024(
        ModelConfig(hidden_size=1024, num_layers=28, num_heads=16, intermediate_size=2624),
        learning_rate=5e-4,
        warmup_tokens=2e9,
        batch_size=4928,
        steps=340_000,
    )
