"""Published recipes of encoders with rotary positions, without the size of the model."""

from __future__ import annotations

from dataclasses import replace

from bertjax.config import (
    DataConfig,
    ModelConfig,
    OptimConfig,
    Phase,
    PretrainConfig,
    TrainConfig,
)
from bertjax.objectives.presets import MODERNBERT, NEOBERT


def modernbert(model: ModelConfig) -> ModelConfig:
    """Warner et al. 2024, section 2.1 and table 4: what its two sizes have in common.

    Gated layers without biases, of which every third sees whole rows and the others 64 tokens to
    each side, rotary positions, norms before each branch but the first, Megatron's initialisation.
    """
    return replace(
        model,
        family="modernbert",
        positions="rotary",
        rotary_base=160_000.0,
        type_vocab_size=0,
        local_window=64,
        global_every=3,
        feed_forward="glu",
        linear_bias=False,
        norm="pre",
        norm_bias=False,
        first_norm=False,
        layer_norm_eps=1e-5,
        hidden_dropout=0.0,
        attention_dropout=0.0,
        scaled_init=True,
        pooler="transform",
    )


def modernbert_2024(
    model: ModelConfig, learning_rate: float, warmup_tokens: float, batch_size: int, steps: int
) -> PretrainConfig:
    """The first phase of Warner et al. 2024; AnswerDotAI/ModernBERT training yamls.

    1.7 T tokens in packed rows of 1,024, 30 % masked, no pairs; a constant rate after the warm-up.
    Departures: AdamW with clipping for StableAdamW, decay 0.01 for their decoupled 1e-5; a full
    batch from the start, where theirs grew; no dropout, where theirs had 0.1 on what attention
    gives; θ of 160,000 from the start, where the first phase had 10,000. Their second and third
    phase (rows of 8,192, then a decay) are runs with `--init`.
    """
    return PretrainConfig(
        model=replace(modernbert(model), max_positions=1024),
        data=DataConfig(
            format="doc_sentences",
            short_seq_prob=0.0,
            max_packed=16,
            phases=(Phase(seq_len=1024, batch_size=batch_size),),
        ),
        masking=MODERNBERT,
        optim=OptimConfig(
            learning_rate=learning_rate,
            b2=0.98,
            bias_correction=True,
            schedule="constant",
            warmup_fraction=warmup_tokens / (steps * batch_size * 1024),
        ),
        train=TrainConfig(
            steps=steps,
            compute_dtype="bfloat16",
            log_every=50,
            eval_every=5_000,
            eval_rows=8_192,
            checkpoint_every=1_000,
        ),
    )


def neobert_2025(model: ModelConfig) -> PretrainConfig:
    """Le Breton et al. 2025, section 3; chandar-lab/NeoBERT conf/.

    1M steps of 2M tokens in rows of 1,024, 20 % masked, all of them by [MASK]; AdamW, β2 .95, peak
    6e-4 (the paper's; its repository has 1e-4), cosine to a tenth, clipping at 1. The network is
    EuroBERT's, which transformers has a class for: NeoBERT's own runs code of its own.
    Departures: truncated normal initial weights for uniform ones; the cosine ends with the run,
    theirs after 900k steps; no bias a piece at the end, with which EuroBERT's class has some
    in its layers too.
    """
    return PretrainConfig(
        model=replace(
            model,
            family="eurobert",
            positions="rotary",
            max_positions=1024,
            type_vocab_size=0,
            embedding_norm=False,
            feed_forward="glu",
            activation="silu",
            linear_bias=False,
            norm="pre",
            norm_kind="rms",
            layer_norm_eps=1e-5,
            hidden_dropout=0.0,
            attention_dropout=0.0,
            head_transform=False,
            head_bias=False,
            tied_head=False,
            pooler="gelu",
        ),
        data=DataConfig(
            format="doc_sentences",
            short_seq_prob=0.0,
            max_packed=16,
            phases=(Phase(seq_len=1024, batch_size=2048),),
        ),
        masking=NEOBERT,
        optim=OptimConfig(
            learning_rate=6e-4,
            b2=0.95,
            eps=1e-8,
            weight_decay=0.1,
            bias_correction=True,
            schedule="cosine",
            warmup_fraction=0.002,
            final_fraction=0.1,
        ),
        train=TrainConfig(
            steps=1_000_000,
            compute_dtype="bfloat16",
            log_every=50,
            eval_every=5_000,
            eval_rows=8_192,
            checkpoint_every=1_000,
        ),
    )
