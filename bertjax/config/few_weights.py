"""What is trained of an encoder whose own weights stay: low ranks, adapters or biases."""

from __future__ import annotations

from dataclasses import dataclass

from bertjax.config.checks import one_of, require, within

METHODS = ("full", "lora", "houlsby", "pfeiffer", "bitfit")
LORA_TARGETS = (
    "query",
    "key",
    "value",
    "attention_output",
    "intermediate",
    "gate",
    "feed_forward_output",
)


@dataclass(frozen=True)
class LoraConfig:
    """Low-rank updates of dense layers (Hu et al. 2021); the defaults are those of peft."""

    rank: int = 8  # of every update
    alpha: float = 8.0  # an update is multiplied by alpha / rank
    dropout: float = 0.0  # of what an update sees
    targets: tuple[str, ...] = (
        "query",
        "value",
    )  # dense layers, or all

    def __post_init__(self) -> None:
        within("lora.rank", self.rank, 1, 2**14)
        within("lora.alpha", self.alpha, 1e-6, 1e6)
        within("lora.dropout", self.dropout, 0.0, 0.99)
        require(len(self.targets) > 0, "lora.targets is empty: name a dense layer, or all")
        for name in self.targets:
            one_of("lora.targets", name, (*LORA_TARGETS, "all"))
        require(
            len(set(self.targets)) == len(self.targets),
            f"lora.targets={list(self.targets)} names a layer twice: give each once",
        )

    @property
    def layers(self) -> tuple[str, ...]:
        """The dense layers by name."""
        return LORA_TARGETS if "all" in self.targets else self.targets

    @property
    def scale(self) -> float:
        """What an update is multiplied by."""
        return self.alpha / self.rank


@dataclass(frozen=True)
class AdapterConfig:
    """Bottlenecks between layers (Houlsby et al. 2019, Pfeiffer et al. 2020)."""

    reduction: float = 16.0  # hidden size over the width of a bottleneck
    activation: str = ""  # gelu | gelu_tanh | relu | silu; empty: houlsby gelu, pfeiffer relu
    norms: bool = False  # the layers' norms are trained too, as Houlsby et al. do

    def __post_init__(self) -> None:
        within("adapter.reduction", self.reduction, 0.25, 2**14)
        one_of("adapter.activation", self.activation, ("", "gelu", "gelu_tanh", "relu", "silu"))
