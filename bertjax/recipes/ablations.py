"""What the ablations in `configs/ablations/` begin with: a recipe for minutes of two cores."""

from __future__ import annotations

from bertjax.config import (
    BudgetConfig,
    DataConfig,
    MaskingConfig,
    ModelConfig,
    OptimConfig,
    Phase,
    PretrainConfig,
    TrainConfig,
)

# 1,953 steps of 32 rows of 128: five to ten minutes of two cores, and past the unigram entropy.
SMALL_BUDGET = BudgetConfig(tokens=8_000_000)

# Members of the family as fields of `small_base`. GLU of 344 has as many weights as 512 without.
MODERN_LAYERS = (
    "model.norm=pre",
    "model.positions=rotary",
    "model.feed_forward=glu",
    "model.intermediate_size=344",
    "model.linear_bias=false",
    "model.norm_bias=false",
    "model.scaled_init=true",
)
ALBERT_LAYERS = ("model.embedding_size=64", "model.layer_groups=1")


def small_base() -> PretrainConfig:
    """BERT of 4 layers × 128 on rows of 128 as RoBERTa fills them, masked as BERT's are.

    Optimizer and rates are those of `configs/quickstart.py`, whose model it is; no dropout, as
    there. Departures from BERT are thus shared by all arms.
    """
    return PretrainConfig(
        model=ModelConfig(
            hidden_size=128,
            num_layers=4,
            num_heads=4,
            intermediate_size=512,
            max_positions=128,
            hidden_dropout=0.0,
            attention_dropout=0.0,
        ),
        data=DataConfig(
            format="full_sentences",
            short_seq_prob=0.0,
            phases=(Phase(seq_len=128, batch_size=32),),
        ),
        masking=MaskingConfig(),
        optim=OptimConfig(
            optimizer="muon",
            learning_rate=4e-3,
            muon_adam_ratio=0.5,
            b2=0.98,
            bias_correction=True,
            schedule="wsd",
            warmup_fraction=0.02,
            decay_fraction=0.4,
        ),
        train=TrainConfig(
            log_every=50,
            eval_every=250,
            eval_rows=1024,
            checkpoint_every=500,
            keep_checkpoints=1,
        ),
    )
