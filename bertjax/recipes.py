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
from bertjax.objectives.presets import ALBERT_NGRAM, ELECTRA, FAIRSEQ, MODERNBERT, NEOBERT

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
            format="segment_pair+nsp",
            short_seq_prob=0.1,
            phases=(
                Phase(seq_len=128, batch_size=256, fraction=0.9),
                Phase(seq_len=512, batch_size=256, fraction=0.1),
            ),
        ),
        masking=MaskingConfig(),
        optim=OptimConfig(learning_rate=1e-4, warmup_fraction=0.01),
        train=_small_steps(1_000_000),
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
        train=_small_steps(steps),
    )


def albert_2019(model: ModelConfig) -> PretrainConfig:
    """Lan et al. 2020, section 4.1; google-research/albert README and lamb_optimizer.py.

    125k steps of 4,096 rows of 512 tokens; masked n-grams of up to three words, sentence order;
    LAMB, peak 1.76e-3 after 3,125 steps, linear decay; tables of width 128, one set of weights for
    all layers, no dropout and the tanh GELU as in version 2. The sentence order is the paper's; its
    code gives a document of one sentence a random one, as `data.format=segment_pair+sop` does.
    """
    return PretrainConfig(
        model=replace(
            model,
            family="albert",
            embedding_size=128,
            layer_groups=1,
            activation="gelu_tanh",
            hidden_dropout=0.0,
            attention_dropout=0.0,
        ),
        data=DataConfig(
            format="segment_pair+sop_strict",
            phases=(Phase(seq_len=512, batch_size=4096),),
        ),
        masking=ALBERT_NGRAM,
        optim=OptimConfig(optimizer="lamb", learning_rate=1.76e-3, warmup_fraction=0.025),
        train=TrainConfig(
            steps=125_000,
            log_every=50,
            eval_every=2_500,
            eval_rows=4096,
            checkpoint_every=1_000,
        ),
    )


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
    model: ModelConfig, learning_rate: float, batch_size: int, steps: int
) -> PretrainConfig:
    """The first phase of Warner et al. 2024; AnswerDotAI/ModernBERT training yamls.

    1.7 T tokens in packed rows of 1,024, 30 % masked, no pairs; a constant rate after 3 G tokens.
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
            warmup_fraction=3e9 / (steps * batch_size * 1024),
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


def mobilebert_2020(model: ModelConfig) -> PretrainConfig:
    """Sun et al. 2020, section 4.1; google-research/google-research mobilebert/README.md, config/.

    500k steps of 2,048 rows of 512 tokens, masked LM and NSP; LAMB, peak 1.5e-3 after 10k steps.
    Norms without statistics in the layers; words of 128 in trigrams.
    Departures: no teacher. The published ones were first taught the layers of a larger network,
    one by one, for 240k steps, and then half their words for 500k.
    """
    return PretrainConfig(
        model=replace(
            model,
            family="mobilebert",
            embedding_size=128,
            trigram=True,
            activation="relu",
            norm_kind="affine",
            wide_head=True,
            pooler="none",
            hidden_dropout=0.0,
        ),
        data=DataConfig(phases=(Phase(seq_len=512, batch_size=2048),)),
        optim=OptimConfig(optimizer="lamb", learning_rate=1.5e-3, warmup_fraction=0.02),
        train=TrainConfig(
            steps=500_000,
            log_every=50,
            eval_every=5_000,
            eval_rows=4096,
            checkpoint_every=1_000,
        ),
    )


def gpt_2018(model: ModelConfig) -> PretrainConfig:
    """Radford et al. 2018, section 4.1.

    The next token alone, in 64 rows of 512 tokens a step; Adam with bias correction, peak 2.5e-4
    after 2,000 steps, cosine to zero, decay 0.01 but of vectors; post-norm layers without a norm of
    embeddings, tanh GELU, a tied head without a transform.
    Departures: 3M steps, where the paper counts 100 epochs of 800M words, here taken as a billion
    pieces; each row begins with [CLS] and ends with [SEP].
    """
    return PretrainConfig(
        model=replace(
            model,
            family="openai-gpt",
            attention="causal",
            activation="gelu_tanh",
            embedding_norm=False,
            type_vocab_size=0,
            layer_norm_eps=1e-5,
            head_transform=False,
            head_bias=False,
        ),
        data=DataConfig(format="full_rows", phases=(Phase(seq_len=512, batch_size=64),)),
        optim=OptimConfig(
            learning_rate=2.5e-4,
            bias_correction=True,
            clip_norm=0.0,
            schedule="cosine",
            warmup_fraction=2_000 / 3_000_000,
        ),
        train=_small_steps(3_000_000),
    )


def _small_steps(steps: int) -> TrainConfig:
    """A loop whose steps take well under a second where such a run is made."""
    return TrainConfig(
        steps=steps, log_every=100, eval_every=10_000, eval_rows=4096, checkpoint_every=5_000
    )
