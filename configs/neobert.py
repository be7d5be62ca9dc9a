"""NeoBERT: 28 layers × 768, 12 heads, gated layers of 2,048, RMS norms, rotary positions.

    bertjax pretrain --config neobert --workdir runs/x data.corpus=data/mycorpus

Source: Le Breton et al. 2025 (arXiv 2502.19587), section 3;
recipe `bertjax.recipes.modern.neobert_2025`.
Token budget: 1M steps × 2,048 rows of 1,024 tokens = 2.1 T tokens.
Published: 250M parameters; GLUE dev 89.0 (second-hand).
"""

from bertjax.config import ModelConfig, PretrainConfig
from bertjax.recipes.modern import neobert_2025


def get_config() -> PretrainConfig:
    return neobert_2025(
        ModelConfig(hidden_size=768, num_layers=28, num_heads=12, intermediate_size=2048)
    )
