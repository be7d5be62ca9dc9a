"""BERT-mini that learns the next token first, then masks: 30 % of a row falling to 15 %.

    bertjax pretrain --config causal_then_masked_mini --workdir runs/x \
        data.corpus=data/mycorpus

Source: Gisserot-Boukhlef et al. 2025 (arXiv 2507.00994), causal LM before masked LM at a fixed
budget; Yang et al. 2023, a rate of masks that decays. Shares and learning rates are ours.
Token budget: 100k steps × 256 rows of 128 tokens = 3.3 G tokens.
Published: none of this recipe.
"""

from bertjax.config import (
    DataConfig,
    ModelConfig,
    OptimConfig,
    Phase,
    PretrainConfig,
    TrainConfig,
)


def get_config() -> PretrainConfig:
    return PretrainConfig(
        model=ModelConfig(
            hidden_size=256,
            num_layers=4,
            num_heads=4,
            intermediate_size=1024,
            activation="gelu_tanh",
        ),
        data=DataConfig(
            format="full_sentences",
            short_seq_prob=0.0,
            phases=(
                Phase(seq_len=128, batch_size=256, fraction=0.3, attention="causal"),
                Phase(seq_len=128, batch_size=256, fraction=0.7, mask_rate=(0.3, 0.15)),
            ),
        ),
        optim=OptimConfig(learning_rate=5e-4, warmup_fraction=0.02, bias_correction=True),
        train=TrainConfig(
            steps=100_000,
            log_every=100,
            eval_every=5_000,
            eval_rows=4096,
            checkpoint_every=5_000,
        ),
    )
