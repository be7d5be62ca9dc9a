"""12 layers × 384 on ten million words, read ten times: the BabyLM budget called strict-small.

    python benchmarks/ten_million_words.py words.txt WIKIPEDIA.txt.xz BOOKS.txt.xz
    bertjax prepare words.txt --out corpus --vocab-size 16384 --held-out 0.01
    bertjax pretrain --config strict_small --workdir runs/x data.corpus=corpus

Source: our own, for the budget of BabyLM 2025; recipe `bertjax.recipes.budgets.ten_epochs`.
Token budget: 8,200 steps × 128 rows of 128 tokens = 134 M tokens, ten times over 13.4 M.
Published: none of this recipe; docs/performance.md has what was measured.
"""

from bertjax.config import ModelConfig, PretrainConfig
from bertjax.recipes.budgets import ten_epochs


def get_config() -> PretrainConfig:
    return ten_epochs(
        ModelConfig(hidden_size=384, num_layers=12, num_heads=6, intermediate_size=1536)
    )
