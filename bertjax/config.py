"""Every option of a pretraining run, as frozen dataclasses that validate themselves.

This file is the schema and nothing else: no files are read and no JAX is imported. A recipe in
`configs/` returns a `PretrainConfig`; `bertjax.overrides` changes single fields from the command
line and turns a config into JSON and back.

Shapes are written with these letters everywhere in the package: B rows in a batch, T tokens in a
row, D hidden size, N attention heads, H size of one head, F feed-forward size, V vocabulary,
K prediction slots in a row, M examples packed in a row.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from bertjax.errors import UserError, nearest


def _require(ok: bool, message: str) -> None:
    if not ok:
        raise UserError(message)


def _one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    _require(value in choices, f"{name}={value!r} is not known: {nearest(value, choices)}")


def _within(name: str, value: float, low: float, high: float) -> None:
    _require(low <= value <= high, f"{name}={value} is out of range: use {low} to {high}")


FAMILIES = ("bert", "roberta")
ACTIVATIONS = ("gelu", "gelu_tanh", "relu")
NORM_PLACEMENTS = ("post", "pre")


@dataclass(frozen=True)
class ModelConfig:
    """The encoder (Devlin et al. 2019, section 3; defaults are BERT-base)."""

    family: str = "bert"  # which Hugging Face classes it maps to: bert | roberta
    vocab_size: int = 0  # V; 0: the size of the corpus's tokenizer
    hidden_size: int = 768  # D
    num_layers: int = 12
    num_heads: int = 12  # N
    intermediate_size: int = 3072  # F
    max_positions: int = 512  # longest row the position table allows
    position_offset: int = 0  # rows of the table before position 0 (RoBERTa: 2)
    type_vocab_size: int = 2
    activation: str = "gelu"  # gelu (erf) | gelu_tanh (Google's BERT) | relu
    norm: str = "post"  # LayerNorm after each residual sum (BERT) | pre: before each branch
    layer_norm_eps: float = 1e-12
    hidden_dropout: float = 0.1
    attention_dropout: float = 0.1
    initializer_range: float = 0.02  # truncated normal, cut at two standard deviations
    next_sentence_head: bool = True  # pooler and two-way classifier on [CLS]

    def __post_init__(self) -> None:
        _one_of("model.family", self.family, FAMILIES)
        _one_of("model.activation", self.activation, ACTIVATIONS)
        _one_of("model.norm", self.norm, NORM_PLACEMENTS)
        # Bounds keep a hostile or mistyped file from allocating before anything is checked.
        _within("model.vocab_size", self.vocab_size, 0, 2**22)
        _within("model.hidden_size", self.hidden_size, 1, 2**16)
        _within("model.num_layers", self.num_layers, 1, 1024)
        _within("model.num_heads", self.num_heads, 1, 1024)
        _within("model.intermediate_size", self.intermediate_size, 1, 2**18)
        _within("model.max_positions", self.max_positions, 1, 2**20)
        _within("model.position_offset", self.position_offset, 0, 1024)
        _within("model.type_vocab_size", self.type_vocab_size, 1, 1024)
        _within("model.hidden_dropout", self.hidden_dropout, 0.0, 0.99)
        _within("model.attention_dropout", self.attention_dropout, 0.0, 0.99)
        _within("model.layer_norm_eps", self.layer_norm_eps, 0.0, 1.0)
        _within("model.initializer_range", self.initializer_range, 0.0, 10.0)
        _require(
            self.hidden_size % self.num_heads == 0,
            f"model.num_heads={self.num_heads} does not divide "
            f"model.hidden_size={self.hidden_size}: choose a head count that does",
        )

    @property
    def head_size(self) -> int:
        """H, the width of one attention head."""
        return self.hidden_size // self.num_heads

    @property
    def padded_vocab_size(self) -> int:
        """V rounded up to 128: whole TPU lanes, and divisible by any usual mesh axis.

        The extra rows are zero, are never sampled, predicted or exported.
        """
        return -(-self.vocab_size // 128) * 128


FORMATS = ("full_sentences", "doc_sentences", "segment_pair", "sentence_pair")
PAIR_LABELS = ("none", "nsp", "sop", "sop_strict")


@dataclass(frozen=True)
class Phase:
    """A stretch of training at one row length; BERT used 128 for 90 % of steps, then 512."""

    seq_len: int = 128  # T
    batch_size: int = 256  # B, rows over all devices and accumulation steps
    fraction: float = 1.0  # share of train.steps; the fractions of all phases sum to 1

    def __post_init__(self) -> None:
        _within("data.phases seq_len", self.seq_len, 8, 2**20)
        _within("data.phases batch_size", self.batch_size, 1, 2**20)
        _within("data.phases fraction", self.fraction, 0.0, 1.0)


@dataclass(frozen=True)
class DataConfig:
    """How a corpus becomes batches (input formats: RoBERTa, Liu et al. 2019, section 4.2)."""

    corpus: str = ""  # directory made by `bertjax prepare`
    format: str = "segment_pair"
    pairs: str = "nsp"  # label of segment_pair and sentence_pair rows; sop: ALBERT's, leak included
    short_seq_prob: float = 0.1  # share of documents cut to a random shorter length
    max_packed: int = 1  # M; above 1, short examples share a row and do not see each other
    phases: tuple[Phase, ...] = (Phase(),)
    workers: int = 0  # Grain worker processes; 0: in the training process
    prefetch: int = 2  # batches made ahead by each worker

    def __post_init__(self) -> None:
        _one_of("data.format", self.format, FORMATS)
        _one_of("data.pairs", self.pairs, PAIR_LABELS)
        _within("data.short_seq_prob", self.short_seq_prob, 0.0, 1.0)
        _within("data.max_packed", self.max_packed, 1, 256)
        _within("data.workers", self.workers, 0, 256)
        _within("data.prefetch", self.prefetch, 1, 1024)
        _require(len(self.phases) > 0, "data.phases is empty: give at least one phase")
        total = sum(p.fraction for p in self.phases)
        _require(
            abs(total - 1.0) < 1e-6,
            f"data.phases fractions sum to {total:g}: they must sum to 1",
        )
        paired = self.format in ("segment_pair", "sentence_pair")
        _require(
            paired == (self.pairs != "none"),
            f"data.format={self.format} with data.pairs={self.pairs}: the pair formats need "
            "nsp, sop or sop_strict; the other two need data.pairs=none",
        )
        _require(
            not (self.format == "full_sentences" and self.max_packed > 1),
            f"data.max_packed={self.max_packed} with data.format=full_sentences: those rows are "
            "full already; use doc_sentences to pack documents with isolation",
        )


UNITS = ("piece", "word", "ngram", "span")
COUNTS = ("rounded", "fairseq", "bernoulli", "floor")
RANDOM_IDS = ("vocabulary", "non_special", "row_max")


@dataclass(frozen=True)
class MaskingConfig:
    """Which tokens the masked LM predicts and what replaces them.

    The published variants are the presets in `bertjax.objectives.presets`.
    """

    rate: float = 0.15
    slots: int = 0  # K; 0: the most that `rate` can ask for in a row
    unit: str = "piece"
    count: str = "rounded"  # how many: max(1, round(rate·n)) | fairseq | bernoulli | floor
    count_unit: str = "piece"  # n counts pieces or units (fairseq counts words)
    count_specials: bool = True  # n includes [CLS] and [SEP] (Google, ELECTRA)
    mask_share: float = 0.8
    random_share: float = 0.1  # the rest is kept
    exact_shares: bool = False  # shares as exact counts per row (cramming), not draws
    share_unit: str = "piece"  # one mask/random/keep draw per piece or per unit
    random_ids: str = "non_special"
    mask_specials: bool = False  # [CLS] and [SEP] may be chosen (cramming, ModernBERT)
    with_replacement: bool = False  # positions drawn with replacement, duplicates merged (ELECTRA)
    max_ngram: int = 3  # ngram: n words, 1 ≤ n ≤ max_ngram, p(n) ∝ 1/n
    span_p: float = 0.2  # span: length ~ Geometric(span_p) words, at most span_max
    span_max: int = 10
    static_copies: int = 0  # 0: a new mask each epoch; n: n fixed masks in turn (dupe_factor)

    def __post_init__(self) -> None:
        _within("masking.rate", self.rate, 0.0, 1.0)
        _within("masking.slots", self.slots, 0, 2**20)
        _one_of("masking.unit", self.unit, UNITS)
        _one_of("masking.count", self.count, COUNTS)
        _one_of("masking.count_unit", self.count_unit, ("piece", "unit"))
        _one_of("masking.share_unit", self.share_unit, ("piece", "unit"))
        _one_of("masking.random_ids", self.random_ids, RANDOM_IDS)
        _within("masking.mask_share", self.mask_share, 0.0, 1.0)
        _within("masking.random_share", self.random_share, 0.0, 1.0)
        _within("masking.mask_share + random_share", self.mask_share + self.random_share, 0, 1)
        _within("masking.max_ngram", self.max_ngram, 1, 16)
        _within("masking.span_p", self.span_p, 0.01, 1.0)
        _within("masking.span_max", self.span_max, 1, 64)
        _within("masking.static_copies", self.static_copies, 0, 1000)


OPTIMIZERS = ("adamw", "lamb", "muon")
SCHEDULES = ("linear", "polynomial", "cosine", "wsd", "constant")


@dataclass(frozen=True)
class OptimConfig:
    """Optimizer and learning-rate schedule (defaults: google-research/bert optimization.py)."""

    optimizer: str = "adamw"
    learning_rate: float = 1e-4
    b1: float = 0.9
    b2: float = 0.999
    eps: float = 1e-6
    weight_decay: float = 0.01  # matrices and embeddings only; multiplied by the learning rate
    bias_correction: bool = False  # BERT's Adam has none
    clip_norm: float = 1.0  # global gradient norm; 0: no clipping
    muon_adam_ratio: float = 0.3  # muon: learning rate of what Adam keeps, relative
    schedule: str = "linear"
    warmup_fraction: float = 0.01  # of train.steps
    decay_from_zero: bool = False  # the decay line starts at step 0, not after warm-up: BERT's kink
    decay_fraction: float = 0.2  # wsd: last share of train.steps, in which the rate falls
    power: float = 1.0  # polynomial
    final_fraction: float = 0.0  # rate at the last step, relative to the peak

    def __post_init__(self) -> None:
        _one_of("optim.optimizer", self.optimizer, OPTIMIZERS)
        _one_of("optim.schedule", self.schedule, SCHEDULES)
        _within("optim.learning_rate", self.learning_rate, 0.0, 100.0)
        _within("optim.b1", self.b1, 0.0, 1.0)
        _within("optim.b2", self.b2, 0.0, 1.0)
        _within("optim.eps", self.eps, 0.0, 1.0)
        _within("optim.weight_decay", self.weight_decay, 0.0, 10.0)
        _within("optim.clip_norm", self.clip_norm, 0.0, 1e6)
        _within("optim.muon_adam_ratio", self.muon_adam_ratio, 0.0, 100.0)
        _within("optim.warmup_fraction", self.warmup_fraction, 0.0, 1.0)
        _within("optim.decay_fraction", self.decay_fraction, 0.0, 1.0)
        _within("optim.power", self.power, 0.0, 100.0)
        _within("optim.final_fraction", self.final_fraction, 0.0, 1.0)


@dataclass(frozen=True)
class MeshConfig:
    """Devices along each mesh axis; -1 for `data` takes all that the others leave."""

    data: int = -1
    fsdp: int = 1
    tensor: int = 1

    def __post_init__(self) -> None:
        _require(
            self.data == -1 or self.data >= 1, f"train.mesh.data={self.data}: use -1 or 1 and up"
        )
        _within("train.mesh.fsdp", self.fsdp, 1, 2**16)
        _within("train.mesh.tensor", self.tensor, 1, 2**16)


@dataclass(frozen=True)
class TrainConfig:
    """The loop: how long, in what precision, on which mesh, and what is written when."""

    steps: int = 1_000_000
    accumulate: int = 1  # micro-batches per step; each holds batch_size / accumulate rows
    compute_dtype: str = "float32"  # float32 | bfloat16; parameters and optimizer stay float32
    next_sentence_loss: bool = True  # independent of data.format: the NSP ablation's fourth cell
    mesh: MeshConfig = field(default_factory=MeshConfig)
    log_every: int = 10
    eval_every: int = 1000  # also after the last step
    eval_rows: int = 1024  # held-out rows per evaluation
    checkpoint_every: int = 1000  # also after the last step
    keep_checkpoints: int = 3  # newest ones; the best one is kept besides
    max_bad_steps: int = 10  # non-finite steps in a row before giving up
    init: str = ""  # run or Hugging Face directory to take weights from; `--init` sets it
    tensorboard: bool = False  # needs the extra: pip install bertjax[tensorboard]

    def __post_init__(self) -> None:
        _within("train.steps", self.steps, 1, 10**9)
        _within("train.accumulate", self.accumulate, 1, 2**16)
        _one_of("train.compute_dtype", self.compute_dtype, ("float32", "bfloat16"))
        for name in ("log_every", "eval_every", "checkpoint_every", "keep_checkpoints"):
            _within(f"train.{name}", getattr(self, name), 1, 10**9)
        _within("train.eval_rows", self.eval_rows, 1, 10**9)
        _within("train.max_bad_steps", self.max_bad_steps, 1, 10**6)


@dataclass(frozen=True)
class PretrainConfig:
    """A whole pretraining run."""

    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    masking: MaskingConfig = field(default_factory=MaskingConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    seed: int = 0

    def __post_init__(self) -> None:
        _within("seed", self.seed, 0, 2**32 - 1)
        longest = max(p.seq_len for p in self.data.phases)
        _require(
            longest <= self.model.max_positions,
            f"data.phases has rows of {longest} tokens but model.max_positions="
            f"{self.model.max_positions}: shorten the rows or enlarge the position table",
        )
        for phase in self.data.phases:
            _require(
                phase.batch_size % self.train.accumulate == 0,
                f"train.accumulate={self.train.accumulate} does not divide a phase's "
                f"batch_size={phase.batch_size}: choose a divisor",
            )
        _require(
            self.data.pairs == "none" or self.model.type_vocab_size >= 2,
            f"data.format={self.data.format} needs two token types but model.type_vocab_size="
            f"{self.model.type_vocab_size}: use 2, or a format without pairs",
        )
        _require(
            not self.train.next_sentence_loss
            or (self.data.pairs != "none" and self.model.next_sentence_head),
            "train.next_sentence_loss=true needs data.pairs (nsp, sop, sop_strict) and "
            "model.next_sentence_head=true: set those, or train.next_sentence_loss=false",
        )
