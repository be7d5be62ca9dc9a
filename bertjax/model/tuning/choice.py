"""Which way of tuning few weights a config asks for: the one place that knows them by name."""

from __future__ import annotations

from bertjax.config import AdapterConfig, LoraConfig
from bertjax.model.tuning.bitfit import BitFit
from bertjax.model.tuning.houlsby import Houlsby
from bertjax.model.tuning.lora import Lora
from bertjax.model.tuning.method import Method
from bertjax.model.tuning.pfeiffer import Pfeiffer


def method_of(name: str, lora: LoraConfig, adapter: AdapterConfig) -> Method | None:
    """The way of that name of `config.METHODS`; None for `full`, which moves the encoder itself."""
    return {
        "full": None,
        "lora": Lora(lora),
        "houlsby": Houlsby(adapter),
        "pfeiffer": Pfeiffer(adapter),
        "bitfit": BitFit(),
    }[name]
