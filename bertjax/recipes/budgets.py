"""Our own recipes for minutes of a machine, without the size of the model; `configs/` adds that."""

from __future__ import annotations

from dataclasses import replace

from bertjax.config import (
    DataConfig,
    MaskingConfig,
    ModelConfig,
    OptimConfig,
    Phase,
    PretrainConfig,
    TrainConfig,
)


def budget(model: ModelConfig) -> PretrainConfig:
    """A BERT in 25 minutes of one GPU, from tens of millions of words.

    Rows of 128 filled to the end, masked LM alone on 30 % in whole words, no dropout, bfloat16;
    Muon on the blocks' matrices, constant rate after a short warm-up, then linear to zero.
    Sources: Geiping and Goldstein 2022 (rows, no dropout, no NSP, a budget in time); Wettig et al.
    2022 (rate of masks); Liu et al. 2025 (Muon). The rates are ours. Held-out loss is at 15 %.
    """
    return PretrainConfig(
        model=replace(
            model,
            activation="gelu_tanh",
            head_activation="gelu",
            norm="pre",
            hidden_dropout=0.0,
            attention_dropout=0.0,
            max_positions=128,
        ),
        data=DataConfig(
            format="full_rows",
            short_seq_prob=0.0,
            phases=(Phase(seq_len=128, batch_size=1024),),
        ),
        masking=MaskingConfig(unit="word", rate=0.3),
        optim=OptimConfig(
            optimizer="muon",
            learning_rate=2e-3,
            b2=0.98,
            bias_correction=True,
            schedule="wsd",
            warmup_fraction=0.03,
            decay_fraction=0.4,
        ),
        train=TrainConfig(
            minutes=25,
            compute_dtype="bfloat16",
            log_every=50,
            eval_every=500,
            eval_rows=4096,
            checkpoint_every=1000,
        ),
    )


def laptop(model: ModelConfig) -> PretrainConfig:
    """`budget` in 30 minutes of two CPU cores: float32, in batches of 16 rows, for more steps.

    A BERT needs a thousand steps to leave its unigrams, and two cores have a few thousand tokens a
    second. Rate and masks are those of `configs/quickstart.py`, whose batches are as small.
    """
    cfg = budget(model)
    return replace(
        cfg,
        data=replace(cfg.data, phases=(Phase(seq_len=128, batch_size=16),)),
        masking=replace(cfg.masking, rate=0.4),
        optim=replace(cfg.optim, learning_rate=4e-3, muon_adam_ratio=0.5),
        train=replace(
            cfg.train,
            minutes=30,
            compute_dtype="float32",
            eval_rows=512,
            checkpoint_every=500,
        ),
    )


def quickstart() -> PretrainConfig:
    """A BERT of 4 layers × 128 in 3 minutes of two CPU cores, from the experiments in docs/LOG.md.

    No dropout; 40 % masked, as that taught it faster than 15 % did. Held-out loss is at 15 %.
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
            phases=(Phase(seq_len=64, batch_size=16),),
        ),
        masking=MaskingConfig(unit="word", rate=0.4),
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
            minutes=3,
            log_every=50,
            eval_every=500,
            eval_rows=1024,
            checkpoint_every=500,
        ),
    )


def ten_epochs(model: ModelConfig) -> PretrainConfig:
    """`budget` in steps: ten epochs of 13 million tokens, in batches an eighth as large.

    8,200 steps of 128 rows: so little text allows no more tokens, and a BERT needs a thousand
    steps to leave its unigrams.
    """
    cfg = budget(model)
    return replace(
        cfg,
        # So small a step would wait for batches that the training process makes itself.
        data=replace(cfg.data, phases=(Phase(seq_len=128, batch_size=128),), workers=4),
        train=replace(cfg.train, minutes=0, steps=8_200, eval_every=1_000, eval_rows=1_024),
    )
