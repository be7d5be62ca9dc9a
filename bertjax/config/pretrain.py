"""Every option of a pretraining run."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from bertjax.config.checks import one_of, require, typed, within
from bertjax.config.computed import without
from bertjax.config.data import DataConfig, Phase
from bertjax.config.model import ModelConfig
from bertjax.config.optim import OptimConfig

BACKENDS = ("auto", "reference", "cudnn", "triton", "splash")
REMAT = ("none", "dots", "full")
# Options of `data` and `train` that no compiled program depends on.
_OF_THE_HOST = (
    *("corpus", "corpora", "workers", "prefetch", "minutes", "pace", "init"),
    *("tensorboard", "trackio"),
    *("log_every", "eval_every", "eval_rows", "checkpoint_every"),
    *("keep_checkpoints", "max_bad_steps", "hash_every"),
)


UNITS = ("piece", "word", "ngram", "span")
COUNTS = ("rounded", "fairseq", "bernoulli", "floor")
RANDOM_IDS = ("vocabulary", "non_special", "row_max")


@dataclass(frozen=True)
class MaskingConfig:
    """Which tokens the masked LM predicts and what replaces them.

    The published variants are the presets in `bertjax.objectives.presets`.
    """

    rate: float = 0.15  # share of the tokens that is predicted
    slots: int = 0  # K; 0: the most that `rate` can ask for in a row
    unit: str = "piece"  # masked together: piece | word | ngram | span
    count: str = "rounded"  # max(1, round(rate·n)), 0 at rate 0 | fairseq | bernoulli | floor
    count_unit: str = "piece"  # n counts pieces or units (fairseq counts words)
    count_specials: bool = True  # n includes [CLS] and [SEP] (Google, ELECTRA)
    mask_share: float = 0.8  # of the predicted tokens: replaced by [MASK]
    random_share: float = 0.1  # replaced by a random token; the rest is kept
    exact_shares: bool = False  # shares as exact counts per row (cramming), not draws
    share_unit: str = "piece"  # one mask/random/keep draw per piece or per unit
    random_ids: str = "non_special"  # drawn from: vocabulary | non_special | row_max
    mask_specials: bool = False  # [CLS] and [SEP] may be chosen (RoBERTa, ModernBERT)
    with_replacement: bool = False  # positions drawn with replacement, duplicates merged (ELECTRA)
    max_ngram: int = 3  # ngram: n words, 1 ≤ n ≤ max_ngram, p(n) ∝ 1/n
    span_p: float = 0.2  # span: length ~ Geometric(span_p) words, at most span_max
    span_max: int = 10  # words of a span at most
    static_copies: int = 0  # 0: a new mask each epoch; n: n fixed masks in turn (dupe_factor)

    def __post_init__(self) -> None:
        within("masking.rate", self.rate, 0.0, 1.0)
        within("masking.slots", self.slots, 0, 2**20)
        one_of("masking.unit", self.unit, UNITS)
        one_of("masking.count", self.count, COUNTS)
        one_of("masking.count_unit", self.count_unit, ("piece", "unit"))
        one_of("masking.share_unit", self.share_unit, ("piece", "unit"))
        one_of("masking.random_ids", self.random_ids, RANDOM_IDS)
        within("masking.mask_share", self.mask_share, 0.0, 1.0)
        within("masking.random_share", self.random_share, 0.0, 1.0)
        within("masking.mask_share + random_share", self.mask_share + self.random_share, 0, 1)
        within("masking.max_ngram", self.max_ngram, 1, 16)
        within("masking.span_p", self.span_p, 0.01, 1.0)
        within("masking.span_max", self.span_max, 1, 64)
        within("masking.static_copies", self.static_copies, 0, 1000)
        counts = f"masking.count={self.count} and masking.count_unit={self.count_unit}"
        require(
            self.unit not in ("ngram", "span")
            or (self.count != "bernoulli" and self.count_unit == "piece"),
            f"masking.unit={self.unit} with {counts}: runs of words are taken until a number of "
            "pieces is reached; use masking.count=rounded, fairseq or floor and count_unit=piece",
        )
        require(
            not self.with_replacement or (self.unit == "piece" and self.count != "bernoulli"),
            f"masking.with_replacement=true with masking.unit={self.unit} and {counts}: a number "
            "of single pieces is drawn; use masking.unit=piece and another masking.count",
        )


@dataclass(frozen=True)
class ReplacedTokensConfig:
    """Replaced-token detection (ELECTRA, Clark et al. 2020, section 2), in place of masked LM.

    A small generator fills the masks, and the model says of every token whether it is the text's.
    Both are trained in each step; they share the embeddings, and the generator alone has `masking`.
    """

    weight: float = 0.0  # of the model's loss, beside 1 of the generator's (ELECTRA: 50); 0: off
    generator_size: float = 0.25  # width of the generator, as a share of model.hidden_size

    def __post_init__(self) -> None:
        within("replaced_tokens.weight", self.weight, 0.0, 1e6)
        within("replaced_tokens.generator_size", self.generator_size, 1e-3, 4.0)


@dataclass(frozen=True)
class MeshConfig:
    """Devices along each mesh axis; -1 for `data` takes all that the others leave."""

    data: int = -1  # devices that share the rows; -1: all that are left
    fsdp: int = 1  # devices that share rows, parameters and optimizer
    tensor: int = 1  # devices that share heads and feed-forward layers

    def __post_init__(self) -> None:
        require(
            self.data == -1 or self.data >= 1, f"train.mesh.data={self.data}: use -1 or 1 and up"
        )
        within("train.mesh.fsdp", self.fsdp, 1, 2**16)
        within("train.mesh.tensor", self.tensor, 1, 2**16)


@dataclass(frozen=True)
class TrainConfig:
    """The loop: how long, in what precision, on which mesh, and what is written when."""

    steps: int = 1_000_000  # updates
    minutes: float = 0.0  # above 0: for so long instead; the last evaluation and saving come after
    pace: str = ""  # run of train.minutes, or its pace.json, to repeat step for step
    accumulate: int = 1  # micro-batches per step; each holds batch_size / accumulate rows
    compute_dtype: str = "float32"  # float32 | bfloat16; parameters and optimizer stay float32
    attention: str = "auto"  # the fastest that is right here; or reference, cudnn, triton, splash
    scan_layers: bool = False  # compile one layer and loop over it: quicker to start, slower to run
    remat: str = "none"  # computed again in the backward pass, to save memory: none | dots | full
    z_loss: float = 0.0  # weight of log² of the softmax's sum at each prediction (PaLM: 1e-4)
    mesh: MeshConfig = field(default_factory=MeshConfig)
    log_every: int = 10  # steps
    hash_every: int = 10  # steps; the state's hash, for `bertjax replay`; also at the end; 0: none
    eval_every: int = 1000  # also after the last step
    eval_rows: int = 1024  # held-out rows per evaluation
    checkpoint_every: int = 1000  # also after the last step
    keep_checkpoints: int = 3  # newest ones; the best one is kept besides
    max_bad_steps: int = 10  # non-finite steps in a row before giving up
    init: str = ""  # run or Hugging Face directory to take weights from; `--init` sets it
    tensorboard: bool = False  # needs the extra: pip install bertjax[tensorboard]
    trackio: bool = False  # likewise: pip install bertjax[trackio]

    def __post_init__(self) -> None:
        within("train.steps", self.steps, 1, 10**9)
        within("train.minutes", self.minutes, 0.0, 1e6)
        require(
            not (self.minutes and self.pace),
            f"train.minutes={self.minutes:g} and train.pace={self.pace}: give one of them; a pace "
            "that was recorded needs no clock",
        )
        within("train.accumulate", self.accumulate, 1, 2**16)
        one_of("train.compute_dtype", self.compute_dtype, ("float32", "bfloat16"))
        one_of("train.attention", self.attention, BACKENDS)
        one_of("train.remat", self.remat, REMAT)
        for name in ("log_every", "eval_every", "checkpoint_every", "keep_checkpoints"):
            within(f"train.{name}", getattr(self, name), 1, 10**9)
        within("train.hash_every", self.hash_every, 0, 10**9)
        within("train.z_loss", self.z_loss, 0.0, 1.0)
        within("train.eval_rows", self.eval_rows, 1, 10**9)
        within("train.max_bad_steps", self.max_bad_steps, 1, 10**6)


@dataclass(frozen=True)
class PretrainConfig:
    """A whole pretraining run."""

    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    masking: MaskingConfig = field(default_factory=MaskingConfig)
    replaced_tokens: ReplacedTokensConfig = field(default_factory=ReplacedTokensConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    seed: int = 0  # of parameters, order of rows, masks and dropout

    def __post_init__(self) -> None:
        within("seed", self.seed, 0, 2**32 - 1)
        require(
            not self.replaced_tokens.weight
            or not (self.model.trigram or self.model.bottleneck_size),
            f"replaced_tokens.weight={self.replaced_tokens.weight:g} with model.trigram="
            f"{self.model.trigram} and model.bottleneck_size={self.model.bottleneck_size}: a "
            "generator shares tables of one width; set one of them to 0",
        )
        longest = max(p.seq_len for p in self.data.phases)
        require(
            longest <= self.model.max_positions,
            f"data.phases has rows of {longest} tokens but model.max_positions="
            f"{self.model.max_positions}: shorten the rows or enlarge the position table",
        )
        for phase in self.data.phases:
            require(
                phase.batch_size % self.train.accumulate == 0,
                f"train.accumulate={self.train.accumulate} does not divide a phase's "
                f"batch_size={phase.batch_size}: choose a divisor",
            )
        require(
            self.data.pairing is None or self.model.type_vocab_size >= 2,
            f"data.format={self.data.format} needs two token types but model.type_vocab_size="
            f"{self.model.type_vocab_size}: use 2, or a format without pairs",
        )
        self._check_pairs()
        require(
            self.generator is None or self.model.attention == "full",
            f"replaced_tokens.weight={self.replaced_tokens.weight:g} with model.attention=causal: "
            "a causal model is trained on the next token; set one of them back",
        )
        require(
            self.generator is None or not self.train.z_loss,
            f"train.z_loss={self.train.z_loss:g} with replaced_tokens.weight="
            f"{self.replaced_tokens.weight:g}: ELECTRA has none; set one of them to 0",
        )
        self._check_phases()

    def _check_pairs(self) -> None:
        """Refuse labels of pairs where no phase predicts them, beside masked LM."""
        directions = {phase.attention or self.model.attention for phase in self.data.phases}
        for other, reason in (
            (self.generator is not None, f"replaced_tokens.weight={self.replaced_tokens.weight:g}"),
            (directions == {"causal"}, "model.attention=causal"),
        ):
            require(
                not (other and self.predicts_pairs),
                f"data.format={self.data.format} with {reason}: the label of pairs is predicted "
                f"beside masked LM alone; use data.format={self.data.without_pair_loss.format}, or "
                "full_sentences for rows without pairs",
            )

    def _check_phases(self) -> None:
        """Refuse what a phase learns that does not go with the rest."""
        *_, (last, ends) = directions = [
            (i, phase.attention or self.model.attention) for i, phase in enumerate(self.data.phases)
        ]
        require(
            ends == self.model.attention,
            f"data.phases.{last}.attention={ends} with model.attention={self.model.attention}: "
            f"the model is that of the last phase; set model.attention={ends}",
        )
        for (i, direction), phase in zip(directions, self.data.phases, strict=True):
            require(
                direction == "full" or not phase.mask_rate,
                f"data.phases.{i}.mask_rate={typed(phase.mask_rate)} where attention is causal: "
                "nothing is masked there; leave it out",
            )
            if direction != self.model.attention:
                self.in_phase(phase)

    def in_phase(self, phase: Phase) -> PretrainConfig:
        """The run as if `phase` were all of it: the direction of its attention is the model's."""
        direction = phase.attention or self.model.attention
        alone = replace(phase, fraction=1.0, attention="")
        data = self.data.without_pair_loss if direction == "causal" else self.data
        return replace(
            self,
            model=replace(self.model, attention=direction),
            data=replace(data, phases=(alone,)),
        )

    @property
    def computed(self) -> PretrainConfig:
        """The run as far as its programs depend on it: runs that share it share what is compiled.

        What only the loop and the host go by has its default, and so has the seed, which programs
        are given.
        """
        phases = tuple(replace(phase, weights=()) for phase in self.data.phases)
        data = without(replace(self.data, corpora=(), phases=phases), _OF_THE_HOST)
        return replace(self, data=data, train=without(self.train, _OF_THE_HOST), seed=0)

    @property
    def predicts_pairs(self) -> bool:
        """Whether the label of pairs is a part of the loss."""
        return self.data.pairing is not None and self.data.pairing.predicted

    @property
    def generator(self) -> ModelConfig | None:
        """The network that fills the masks for replaced-token detection; None without it.

        Google's (google-research/electra run_pretraining.py, get_generator_config): as many layers,
        heads of 64, and tables of the model's width. Where these heads would not divide the width,
        it is the next smaller that they do.
        """
        if not self.replaced_tokens.weight:
            return None
        width = max(1, round(self.replaced_tokens.generator_size * self.model.hidden_size))
        heads = max(1, width // 64)
        width -= width % heads
        tables = self.model.table_size
        return replace(
            self.model,
            hidden_size=width,
            num_heads=heads,
            intermediate_size=4 * width,
            embedding_size=0 if tables == width else tables,
            next_sentence_head=False,
            replaced_token_head=False,
        )

    @property
    def networks(self) -> tuple[ModelConfig, ...]:
        """All that a step computes: the model, and the generator if there is one."""
        return (self.model,) if self.generator is None else (self.model, self.generator)

    def model_on(self, weights: ModelConfig) -> ModelConfig:
        """The model of this run where it begins with the weights of another.

        Dropout, the direction of attention and what is said of each token are the run's own; a
        head for pairs that the weights have stays, trained or not.
        """
        return replace(
            weights.with_dropout_of(self.model),
            attention=self.model.attention,
            **self._heads(weights),
        )

    def with_trained_heads(self, weights: ModelConfig | None = None) -> PretrainConfig:
        """The model with the heads that its losses train, and that for pairs of its `weights`."""
        return replace(self, model=replace(self.model, **self._heads(weights)))

    def _heads(self, weights: ModelConfig | None) -> dict[str, Any]:
        brought = weights is not None and weights.next_sentence_head
        return {
            "next_sentence_head": brought or self.predicts_pairs,
            "replaced_token_head": self.generator is not None,
        }
