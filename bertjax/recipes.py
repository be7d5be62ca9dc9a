"""Published pretraining recipes, without the size of the model; files in `configs/` add that."""

from __future__ import annotations

from dataclasses import replace

from bertjax.config import (
    DataConfig,
    MaskingConfig,
    ModelConfig,
    OptimConfig,
    Phase,
    PretrainConfig,
    ReplacedTokensConfig,
    TrainConfig,
)
from bertjax.objectives.presets import ELECTRA, FAIRSEQ

BERT_VOCABULARY = 30_522  # pieces of google-research/bert's uncased vocab.txt


def bert_2018(model: ModelConfig) -> PretrainConfig:
    """Devlin et al. 2019, section 3.1 and A.2; google-research/bert optimization.py and README.

    1M steps of 256 rows, 128 tokens long for 90 % of them and 512 for the rest; MLM on 15 % with
    80/10/10, NSP; Adam without bias correction, linear decay, 10k steps of warm-up, tanh GELU.
    Departures: masks are new in each epoch (theirs were ten fixed ones) and random ids are never
    special tokens (preset `google_static` restores both); the learning rate does not start at
    zero, has no drop after warm-up (`optim.decay_from_zero=true` restores that), and is zero in
    the last step, where theirs would be in the next.
    """
    return PretrainConfig(
        model=model,
        data=DataConfig(
            format="segment_pair",
            pairs="nsp",
            short_seq_prob=0.1,
            phases=(
                Phase(seq_len=128, batch_size=256, fraction=0.9),
                Phase(seq_len=512, batch_size=256, fraction=0.1),
            ),
        ),
        masking=MaskingConfig(),
        optim=OptimConfig(learning_rate=1e-4, warmup_fraction=0.01),
        train=TrainConfig(
            steps=1_000_000,
            log_every=100,
            eval_every=10_000,
            eval_rows=4096,
            checkpoint_every=5_000,
        ),
    )


def roberta_2019(model: ModelConfig) -> PretrainConfig:
    """Liu et al. 2019, section 4 and table 9 (base); fairseq mask_tokens_dataset.py.

    500k steps of 8,192 rows of 512 tokens, full sentences across documents, no NSP, dynamic
    masks; Adam with β2 .98 and bias correction, peak 6e-4 after 24k steps, no clipping.
    """
    return PretrainConfig(
        model=model,
        data=DataConfig(
            format="full_sentences",
            short_seq_prob=0.0,
            phases=(Phase(seq_len=512, batch_size=8192),),
        ),
        masking=FAIRSEQ,
        optim=OptimConfig(
            learning_rate=6e-4,
            b2=0.98,
            bias_correction=True,
            clip_norm=0.0,
            warmup_fraction=0.048,
        ),
        train=TrainConfig(
            steps=500_000,
            compute_dtype="bfloat16",
            log_every=50,
            eval_every=5_000,
            eval_rows=16_384,
            checkpoint_every=1_000,
        ),
    )


def electra_2020(
    model: ModelConfig,
    *,
    phase: Phase,
    steps: int,
    learning_rate: float,
    generator_size: float,
    rate: float = 0.15,
) -> PretrainConfig:
    """Clark et al. 2020, table 6; google-research/electra configure_pretraining.py.

    A generator beside the model, losses weighed 1 to 50, masks drawn with replacement, never a
    random token; Adam without bias correction, 10k steps of warm-up, linear decay, erf GELU.
    Departures: rows are one segment of a document, where theirs were two in nine cases of ten; the
    way down begins where warm-up ends, and not at step 0.
    """
    return PretrainConfig(
        model=replace(
            model,
            family="electra",
            activation="gelu",
            head_activation="gelu",
            pooler="gelu",
            max_positions=512,
        ),
        data=DataConfig(format="doc_sentences", short_seq_prob=0.0, phases=(phase,)),
        masking=replace(ELECTRA, rate=rate),
        replaced_tokens=ReplacedTokensConfig(weight=50.0, generator_size=generator_size),
        optim=OptimConfig(learning_rate=learning_rate, warmup_fraction=10_000 / steps),
        train=TrainConfig(
            steps=steps,
            log_every=100,
            eval_every=10_000,
            eval_rows=4096,
            checkpoint_every=5_000,
        ),
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
