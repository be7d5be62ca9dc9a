"""What one system of transformers is: names of its tensors, words of its config, its classes.

A system is a file in this folder, and nothing outside of the folder knows any by name. Names pair
modules, `{}` stands for the layer's number; inside a module a kernel, scale or table is `weight`
and a bias `bias` everywhere. A name may pair a single parameter too, and several modules with one,
whose tensors then lie end to end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from bertjax.config import ModelConfig
from bertjax.text.special import SpecialIds

Names = Mapping[Any, str]  # ours, or several of ours -> theirs
Content = dict[str, Any]  # of a config.json


@dataclass(frozen=True)
class Field:
    """A number that both configs have; what a file leaves out takes transformers' default."""

    ours: str
    theirs: str
    kind: type
    default: Any


class Word(NamedTuple):
    """What a config.json must say for a class to compute what a head does here."""

    theirs: str
    value: Any
    default: Any  # transformers', where a file leaves it out


class Pooling(NamedTuple):
    """Which pooling of sentences a config.json asks for."""

    theirs: str  # the word
    values: Mapping[str, str]  # ours -> theirs
    default: str  # transformers', where a file leaves it out


@dataclass(frozen=True)
class Head:
    """What a class of transformers has above the encoder."""

    suffix: str  # of the class: system's name + this
    names: Names = field(default_factory=dict)
    pooler: bool = False  # whether the encoder's own pooler is a part of it
    dropout: str = "classifier_dropout"  # its word for the dropout before the classifier
    default_dropout: float | None = None  # where that is left out; None: the encoder's own
    pooling: str = "cls"  # of sentences, where the system has no word for it
    bias: bool = True  # whether the classifier has one
    words: tuple[Word, ...] = ()


@dataclass(frozen=True)
class System:
    """One model type."""

    model_type: str
    class_prefix: str
    prefix: str  # of the encoder's tensors
    fields: tuple[Field, ...]
    encoder: Names
    pooler: Names
    # By what stands on the encoder: masked_lm, pairs (with the pair's label), a family of tasks.
    heads: Mapping[str, Head]
    decoder: str = ""  # module whose weight, and bias, are copies of tied ones
    # Between the configs, beyond `fields`. `read` gets a config.json, checked for what no system
    # here computes, and may raise ValueError for a value that this one does not.
    read: Callable[[Content], dict[str, Any]] = lambda content: {}
    write: Callable[[ModelConfig, SpecialIds], Content] = lambda cfg, special: {}
    activation: str = "hidden_act"
    default_activation: str = "gelu"
    position_rows: str = "max_position_embeddings"
    default_rows: int = 512
    shifts_positions: bool = False  # position 0 is row pad_token_id + 1 of the table, or row 0
    pooling: Pooling | None = None  # of sentences, if it has a word for it
    # The order in which its file has the rows of these parameters' tensor; None: as they are.
    rows: Callable[[ModelConfig, tuple[str, ...]], np.ndarray | None] = lambda cfg, paths: None
    transposed: bool = True  # linear weights of its encoder are [out, in], as those of all heads
    # Tensors that are no parameters here, and that it reports as missing if they are left out.
    constants: Callable[[ModelConfig], dict[str, np.ndarray]] = lambda cfg: {}
    buffers: tuple[str, ...] = ()  # tensors of old files that say nothing
    written_as: str = ""  # model type of the same network that exports are written as
    adapters: Mapping[str, str] = field(default_factory=dict)  # places in the library `adapters`
    own_code: bool = False  # whether its config.json names code, which is not run


_KINDS = {int: "integer", float: "number", bool: "true or false", dict: "object", list: "list"}


def value_of(content: Content, key: str, kind: type, default: Any) -> Any:
    """A value of a config.json that must be of a kind; ValueError if it is another."""
    value = content.get(key, default)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value) if abs(value) < 1e9 else value
    if not isinstance(value, kind) or isinstance(value, bool) != (kind is bool):
        raise ValueError(
            f"{key}={short(value)} is no {_KINDS[kind]}: correct the file or download it again"
        )
    return value


def refuse_unless(content: Content, key: str, *harmless: Any, reason: str) -> None:
    """Raise a ValueError for a value that asks for what no encoder here computes."""
    value = content.get(key)
    if value is not None and value not in harmless:
        raise ValueError(f"{key}={short(value)}: {reason}")


def rotation_of(content: Content, key: str) -> Content:
    """What a config.json says of rotary positions under a key; ValueError if they are not plain.

    Empty where there is nothing.
    """
    said: Content = {} if content.get(key) is None else value_of(content, key, dict, {})
    for kind in ("rope_type", "type"):  # the second is that of older files
        refuse_unless(said, kind, "default", reason=f"of {key} only plain rotation is supported")
    return said


def class_of(content: dict[str, Any]) -> str | None:
    """The class of transformers that a `config.json` names first; None where it names none."""
    named = content.get("architectures")
    return named[0] if isinstance(named, list) and named and isinstance(named[0], str) else None


def short(value: Any) -> str:
    """A value as a message shows it."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def sizes(
    names: str = "hidden_size num_hidden_layers num_attention_heads intermediate_size",
    defaults: tuple[int, ...] = (768, 12, 12, 3072),
    vocab_size: int | None = None,
) -> tuple[Field, ...]:
    """The five sizes that every system has."""
    ours = ("hidden_size", "num_layers", "num_heads", "intermediate_size")
    return (
        Field("vocab_size", "vocab_size", int, vocab_size),
        *(
            Field(our, their, int, default)
            for our, their, default in zip(ours, names.split(), defaults, strict=False)
        ),
    )


def epsilon(theirs: str = "layer_norm_eps", default: float = 1e-12) -> Field:
    """Of the norms."""
    return Field("layer_norm_eps", theirs, float, default)


def dropouts(
    hidden: str = "hidden_dropout_prob",
    attention: str = "attention_probs_dropout_prob",
    default: float = 0.1,
) -> tuple[Field, ...]:
    """The two dropouts of BERT."""
    return (
        Field("hidden_dropout", hidden, float, default),
        Field("attention_dropout", attention, float, default),
    )


TYPES = Field("type_vocab_size", "type_vocab_size", int, 2)
INITIAL = Field("initializer_range", "initializer_range", float, 0.02)


def task_heads(
    *,
    sentence: Head,
    choice: Head,
    token: Head | None = None,
    span: Head | None = None,
) -> dict[str, Head]:
    """Heads of the families of tasks, where those of tokens and spans are BERT's by default."""
    classifier = {"head/classifier": "classifier"}
    token = token or Head("ForTokenClassification", classifier)
    span = span or Head("ForQuestionAnswering", {"head/classifier": "qa_outputs"}, dropout="")
    heads = dict.fromkeys(("classification", "multi_label", "regression"), sentence)
    return heads | {"tagging": token, "span_qa": span, "multiple_choice": choice}
