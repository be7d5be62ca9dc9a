"""Published pretraining recipes of 2018 to 2020, without the size of the model.

Files in `configs/` add that; later recipes are in `modern.py`.
"""

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
from bertjax.objectives.presets import ALBERT_NGRAM, ELECTRA, FAIRSEQ, HFL_ZH

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


def hfl_2019(model: ModelConfig) -> PretrainConfig:
    """Cui et al. 2019 (BERT-wwm), section 3; ymcui/Chinese-BERT-wwm README.

    BERT on Chinese with whole words masked: 100k steps of 2,560 rows of 128 tokens, then 100k of
    384 rows of 512; LAMB, rate 1e-4, a tenth of it warm-up.
    Departures: words are jieba's, where theirs were LTP's; random initial weights, where theirs
    were Google's Chinese BERT (`--init` takes it); one warm-up and one way down for both phases.
    """
    cfg = bert_2018(model)
    phases = (
        Phase(seq_len=128, batch_size=2560, fraction=0.5),
        Phase(seq_len=512, batch_size=384, fraction=0.5),
    )
    return replace(
        cfg,
        data=replace(cfg.data, phases=phases),
        masking=HFL_ZH,
        optim=OptimConfig(optimizer="lamb", learning_rate=1e-4, warmup_fraction=0.1),
        train=replace(cfg.train, steps=200_000, eval_every=5_000, checkpoint_every=1_000),
    )


def _small_steps(steps: int) -> TrainConfig:
    """A loop whose steps take well under a second where such a run is made."""
    return TrainConfig(
        steps=steps, log_every=100, eval_every=10_000, eval_rows=4096, checkpoint_every=5_000
    )
