"""The architecture of an encoder."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bertjax.config.checks import one_of, require, within

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
    activation: str = "gelu"  # of the layers: gelu (erf) | gelu_tanh (Google's BERT) | relu
    norm: str = "post"  # LayerNorm after each residual sum (BERT) | pre: before each branch
    layer_norm_eps: float = 1e-12
    hidden_dropout: float = 0.1
    attention_dropout: float = 0.1
    initializer_range: float = 0.02  # truncated normal, cut at two standard deviations
    next_sentence_head: bool = True  # pooler and two-way classifier on [CLS]

    def __post_init__(self) -> None:
        one_of("model.family", self.family, FAMILIES)
        one_of("model.activation", self.activation, ACTIVATIONS)
        one_of("model.norm", self.norm, NORM_PLACEMENTS)
        # Bounds keep a hostile or mistyped file from allocating before anything is checked.
        within("model.vocab_size", self.vocab_size, 0, 2**22)
        within("model.hidden_size", self.hidden_size, 1, 2**16)
        within("model.num_layers", self.num_layers, 1, 1024)
        within("model.num_heads", self.num_heads, 1, 1024)
        within("model.intermediate_size", self.intermediate_size, 1, 2**18)
        within("model.max_positions", self.max_positions, 1, 2**20)
        within("model.position_offset", self.position_offset, 0, 1024)
        within("model.type_vocab_size", self.type_vocab_size, 1, 1024)
        within("model.hidden_dropout", self.hidden_dropout, 0.0, 0.99)
        within("model.attention_dropout", self.attention_dropout, 0.0, 0.99)
        within("model.layer_norm_eps", self.layer_norm_eps, 0.0, 1.0)
        within("model.initializer_range", self.initializer_range, 0.0, 10.0)
        require(
            self.hidden_size % self.num_heads == 0,
            f"model.num_heads={self.num_heads} does not divide "
            f"model.hidden_size={self.hidden_size}: choose a head count that does",
        )

    def with_dropout_of(self, other: ModelConfig) -> ModelConfig:
        """This architecture, whose weights are started from, with the dropout of a recipe."""
        return replace(
            self, hidden_dropout=other.hidden_dropout, attention_dropout=other.attention_dropout
        )

    @property
    def head_size(self) -> int:
        """H, the width of one attention head."""
        return self.hidden_size // self.num_heads

    @property
    def head_activation(self) -> str:
        """Of the masked-LM head: BERT's is that of its layers.

        That of RoBERTa, and of the pre-norm encoder that its classes hold, is the erf GELU whatever
        the layers have (transformers modeling_roberta.py, RobertaLMHead).
        """
        return self.activation if self.family == "bert" and self.norm == "post" else "gelu"

    @property
    def padded_vocab_size(self) -> int:
        """V rounded up to 128: whole TPU lanes, and divisible by any usual mesh axis.

        The extra rows are zero, are never sampled, predicted or exported.
        """
        return -(-self.vocab_size // 128) * 128
