"""BERT-mini on general text, then mostly on that of a domain.

    bertjax pretrain --config two_corpora_mini --workdir runs/x

Both corpora are prepared with one tokenizer: data/domain with --tokenizer data/general/tokenizer.

Source: our own; Gururangan et al. 2020 (arXiv 2004.10964) for going on with the text of a domain.
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
    WeightedCorpus,
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
            corpora=(WeightedCorpus("data/general"), WeightedCorpus("data/domain")),
            phases=(
                Phase(seq_len=128, batch_size=256, fraction=0.7, weights=(0.9, 0.1)),
                Phase(seq_len=128, batch_size=256, fraction=0.3, weights=(0.2, 0.8)),
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
