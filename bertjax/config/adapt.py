"""What an adaptation to the text of a domain has besides the options of a pretraining run."""

from __future__ import annotations

from dataclasses import dataclass, field

from bertjax.config.checks import within


@dataclass(frozen=True)
class NewWordsConfig:
    """Words of the domain that become pieces."""

    add: int = 0  # how many, those first that save most pieces of the text

    def __post_init__(self) -> None:
        within("vocabulary.add", self.add, 0, 2**20)


@dataclass(frozen=True)
class ReplayConfig:
    """General text that is trained on beside the domain's, so that less of it is forgotten."""

    corpus: str = ""  # directory made by `bertjax prepare` with the tokenizer of --init
    weight: float = 0.2  # its share of the rows; 0: its held-out loss is measured all the same

    def __post_init__(self) -> None:
        within("replay.weight", self.weight, 0.0, 0.99)


@dataclass(frozen=True)
class ComparedConfig:
    """What is measured before and after, besides the losses on held-out text."""

    pairs: str = ""  # file of minimal pairs, as for `bertjax probe --pairs`


@dataclass(frozen=True)
class AdaptConfig:
    """An adaptation, besides the run that trains it."""

    vocabulary: NewWordsConfig = field(default_factory=NewWordsConfig)
    replay: ReplayConfig = field(default_factory=ReplayConfig)
    probes: ComparedConfig = field(default_factory=ComparedConfig)
