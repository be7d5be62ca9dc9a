"""The architecture of an encoder: what is computed, field by field, whoever published it.

Which fields make which published system is in `bertjax/huggingface/systems`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from bertjax.config.checks import one_of, require, within

ACTIVATIONS = ("gelu", "gelu_tanh", "relu", "silu")
ATTENTION = ("full", "causal")
POOLERS = ("tanh", *ACTIVATIONS, "transform", "none")
MAX_FEED_FORWARDS = 16


class LayerSpec(NamedTuple):
    """What makes one layer compute something else than another."""

    # (left, right): keys that a query sees to either side, None: all of them; None: a whole row.
    window: tuple[int | None, int | None] | None = None
    rotary_base: float = 0.0  # θ of the rotation of queries and keys; 0: none
    attention_norm: bool = True  # whether attention has a norm of its own


@dataclass(frozen=True)
class ModelConfig:
    """The encoder (Devlin et al. 2019, section 3; defaults are BERT-base)."""

    family: str = "bert"  # the system of Hugging Face that it is exported as; computes nothing
    vocab_size: int = 0  # V; 0: as many as the tokenizer has
    hidden_size: int = 768  # D, of the state of a token
    num_layers: int = 12  # L, of the encoder
    layer_groups: int = 0  # sets of weights that the layers share in turn (ALBERT: 1); 0: one each
    inner_layers: int = 1  # layers of a group, one after another
    num_heads: int = 12  # N, attention heads of a layer
    intermediate_size: int = 3072  # F, inside the feed-forward network
    bottleneck_size: int = 0  # W, width that a layer works in (MobileBERT); 0: D
    narrow_values: bool = False  # with a bottleneck values are of the narrow state (its tiny one)
    feed_forwards: int = 1  # networks of a layer with a bottleneck, one after another
    # Embeddings: tables of width E, summed, normed, dropped out, and projected to D if E is given;
    # with trigrams words alone are so, and projected first.
    embedding_size: int = 0  # E; 0: D, and no projection
    trigram: bool = False  # a word is projected together with its neighbours (MobileBERT)
    embedding_norm: bool = True  # whether their sum is normed
    positions: str = "table"  # table: learned | rotary: queries, keys are turned (Su et al. 2021)
    max_positions: int = 512  # longest row
    position_offset: int = 0  # rows of the table before position 0 (RoBERTa: 2)
    type_vocab_size: int = 2  # 0: no token types
    task_vocab_size: int = 0  # ERNIE's task types, of which the encoder gets the first; 0: none
    # Attention and feed-forward.
    attention: str = "full"  # both sides | causal: tokens up to the query's own
    local_window: int = 0  # keys to each side that a local layer's query sees; 0: none is local
    global_every: int = 1  # layers 0, n, 2n ... see whole rows, the others are local
    rotary_base: float = 10_000.0  # θ of layers that see whole rows
    local_rotary_base: float = 10_000.0  # θ of local ones
    feed_forward: str = "dense"  # dense | glu: the activated half gates another (Shazeer 2020)
    activation: str = "gelu"  # of the layers: gelu (erf) | gelu_tanh (Google's BERT) | relu | silu
    linear_bias: bool = True  # of the products in the layers
    norm: str = "post"  # after each residual sum (BERT) | pre: before each branch
    norm_kind: str = "layer"  # layer | rms | affine: scale and bias alone, but in the head
    norm_bias: bool = True  # of layer norms
    layer_norm_eps: float = 1e-12  # added to the variance
    first_norm: bool = True  # pre-norm only: attention of layer 0 has one (ModernBERT's has none)
    hidden_dropout: float = 0.1  # of embeddings and of each branch, in training
    attention_dropout: float = 0.1  # of attention probabilities, in training
    initializer_range: float = 0.02  # truncated normal, cut at two standard deviations
    scaled_init: bool = False  # what ends a branch begins 1/√(2L) as large (Megatron)
    # Heads.
    head_transform: bool = True  # masked LM: dense to E, activation, norm before the word table
    head_activation: str = ""  # of that transform; empty: the layers'
    head_bias: bool = True  # a bias a piece
    tied_head: bool = True  # the word table is the last matrix too
    wide_head: bool = False  # the transform is to D: a table of width D - E beside that of words
    pooler: str = "tanh"  # a task's dense and its activation | none | transform: masked LM's
    next_sentence_head: bool = True  # pooler and two-way classifier on [CLS]
    replaced_token_head: bool = False  # whether each token is the text's, instead of masked LM

    def __post_init__(self) -> None:
        one_of("model.activation", self.activation, ACTIVATIONS)
        one_of("model.head_activation", self.head_activation, ("", *ACTIVATIONS))
        one_of("model.positions", self.positions, ("table", "rotary"))
        one_of("model.attention", self.attention, ATTENTION)
        one_of("model.feed_forward", self.feed_forward, ("dense", "glu"))
        one_of("model.norm", self.norm, ("post", "pre"))
        one_of("model.norm_kind", self.norm_kind, ("layer", "rms", "affine"))
        one_of("model.pooler", self.pooler, POOLERS)
        # Bounds keep a hostile or mistyped file from allocating before anything is checked.
        within("model.vocab_size", self.vocab_size, 0, 2**22)
        within("model.hidden_size", self.hidden_size, 1, 2**16)
        within("model.num_layers", self.num_layers, 1, 1024)
        within("model.num_heads", self.num_heads, 1, 1024)
        within("model.intermediate_size", self.intermediate_size, 1, 2**18)
        within("model.bottleneck_size", self.bottleneck_size, 0, 2**16)
        within("model.feed_forwards", self.feed_forwards, 1, MAX_FEED_FORWARDS)
        within("model.max_positions", self.max_positions, 1, 2**20)
        within("model.position_offset", self.position_offset, 0, 1024)
        within("model.type_vocab_size", self.type_vocab_size, 0, 1024)
        within("model.task_vocab_size", self.task_vocab_size, 0, 1024)
        within("model.embedding_size", self.embedding_size, 0, 2**16)
        within("model.local_window", self.local_window, 0, 2**20)
        within("model.global_every", self.global_every, 1, 1024)
        within("model.rotary_base", self.rotary_base, 1.0, 1e12)
        within("model.local_rotary_base", self.local_rotary_base, 1.0, 1e12)
        within("model.hidden_dropout", self.hidden_dropout, 0.0, 0.99)
        within("model.attention_dropout", self.attention_dropout, 0.0, 0.99)
        within("model.layer_norm_eps", self.layer_norm_eps, 0.0, 1.0)
        within("model.initializer_range", self.initializer_range, 0.0, 10.0)
        require(
            self.inner_size % self.num_heads == 0,
            f"model.num_heads={self.num_heads} does not divide {self._width}: choose a head count "
            "that does",
        )
        self._check_parts()

    def _check_parts(self) -> None:
        """Refuse fields that contradict each other."""
        within("model.inner_layers", self.inner_layers, 1, self.num_layers)
        within("model.layer_groups", self.layer_groups, 0, self.num_layers // self.inner_layers)
        require(
            self.inner_layers == 1
            or (self.layer_groups > 0 and self.num_layers % self.inner_layers == 0),
            f"model.inner_layers={self.inner_layers} with model.layer_groups={self.layer_groups} "
            f"and model.num_layers={self.num_layers}: groups of that many layers fill the model; "
            "use 1 group or more, and a number that divides the layers",
        )
        require(
            self.positions == "table" or self.head_size % 2 == 0,
            f"model.positions=rotary turns pairs of a head, and {self._width} over "
            f"model.num_heads={self.num_heads} makes heads of {self.head_size}: choose an even "
            "size",
        )
        require(
            not (self.layer_groups and self.local_window),
            f"model.layer_groups={self.layer_groups} with model.local_window={self.local_window}: "
            "layers of the same weights see the same; set one of them to 0",
        )
        require(
            self.first_norm or self.norm == "pre",
            "model.first_norm=false with model.norm=post: only pre-norm layers can do without it",
        )
        require(
            self.head_transform or not self.embedding_size,
            f"model.head_transform=false with model.embedding_size={self.embedding_size}: the "
            "transform is what brings hidden states to the width of the word table",
        )

        self._check_narrow_parts()

    def _check_narrow_parts(self) -> None:
        """Refuse what MobileBERT's parts have no meaning with."""
        require(
            self.norm == "post" or not self.bottleneck_size,
            f"model.bottleneck_size={self.bottleneck_size} with model.norm=pre: only post-norm "
            "layers can have one; set it to 0",
        )
        require(
            (self.feed_forwards == 1 and not self.narrow_values) or self.bottleneck_size > 0,
            f"model.feed_forwards={self.feed_forwards} and model.narrow_values="
            f"{self.narrow_values} with model.bottleneck_size=0: only layers with a bottleneck "
            "have several and such values; set them to 1 and false",
        )
        require(
            not self.trigram or self.embedding_size > 0,
            "model.trigram=true with model.embedding_size=0: tables of their own width are what is "
            "projected; give that width",
        )
        require(
            not self.wide_head
            or (self.head_transform and self.tied_head and 0 < self.table_size < self.hidden_size),
            f"model.wide_head=true with model.embedding_size={self.embedding_size}, "
            f"model.hidden_size={self.hidden_size}, model.head_transform={self.head_transform} and "
            f"model.tied_head={self.tied_head}: only a tied head with a transform, and word tables "
            "narrower than the layers, leave it a place; set it to false",
        )

    def with_dropout_of(self, other: ModelConfig) -> ModelConfig:
        """This architecture, whose weights are started from, with the dropout of a recipe."""
        return replace(
            self, hidden_dropout=other.hidden_dropout, attention_dropout=other.attention_dropout
        )

    @property
    def head_size(self) -> int:
        """H, the width of one attention head."""
        return self.inner_size // self.num_heads

    @property
    def _width(self) -> str:
        """What the heads share, for messages."""
        field = "bottleneck_size" if self.bottleneck_size else "hidden_size"
        return f"model.{field}={self.inner_size}"

    @property
    def inner_size(self) -> int:
        """Width that a layer works in: W, or D."""
        return self.bottleneck_size or self.hidden_size

    @property
    def table_size(self) -> int:
        """Width of the word table: E, or D."""
        return self.embedding_size or self.hidden_size

    @property
    def summed_size(self) -> int:
        """Width in which embeddings are summed, and of the tables but that of words."""
        return self.hidden_size if self.trigram else self.table_size

    @property
    def transform_size(self) -> int:
        """Width of what the masked LM's transform makes."""
        return self.hidden_size if self.wide_head else self.table_size

    def layer(self, i: int) -> LayerSpec:
        """What layer i computes."""
        local = self.local_window > 0 and i % self.global_every > 0
        reach = self.local_window if local else None
        right = 0 if self.attention == "causal" else reach
        base = self.local_rotary_base if local else self.rotary_base
        return LayerSpec(
            None if reach is None and right is None else (reach, right),
            base if self.positions == "rotary" else 0.0,
            self.first_norm or i > 0,
        )

    @property
    def layer_specs(self) -> tuple[LayerSpec, ...]:
        """Of all layers."""
        return tuple(self.layer(i) for i in range(self.num_layers))

    @property
    def layer_weights(self) -> tuple[int, ...]:
        """Which set of weights each layer has: its own, or that of its place in its group.

        Step i of L goes through group ⌊i / (L / G)⌋, which has several layers (transformers
        modeling_albert.py).
        """
        steps = self.num_layers // self.inner_layers
        groups = [int(i / (steps / (self.layer_groups or steps))) for i in range(steps)]
        inner = range(self.inner_layers)
        return tuple(group * self.inner_layers + j for group in groups for j in inner)

    @property
    def layer_size(self) -> int:
        """Entries of the matrices of a layer: what a token is multiplied with in it."""
        D, W, F = self.hidden_size, self.inner_size, self.intermediate_size
        matrices = 3 if self.feed_forward == "glu" else 2
        narrowed = 0 if not self.bottleneck_size else 2 if self.narrow_values else 3
        values = W if self.narrow_values else D
        around = narrowed * D * W  # to W once or twice, and back
        return 3 * W * W + values * W + around + self.feed_forwards * matrices * W * F

    @property
    def padded_vocab_size(self) -> int:
        """V rounded up to 128: whole TPU lanes, and divisible by any usual mesh axis.

        The extra rows are zero, are never sampled, predicted or exported.
        """
        return -(-self.vocab_size // 128) * 128
