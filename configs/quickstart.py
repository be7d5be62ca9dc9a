"""A small BERT in 3 minutes by the clock: 4 layers × 128, whole-word masking, Muon.

    make quickstart

Source: our own, from the experiments in docs/LOG.md; recipe `bertjax.recipes.budgets.quickstart`.
Token budget: what the machine does in that time, compiling included; on two quiet CPU cores one
pass of 2.6M tokens over the documentation that every machine with bertjax has.
"""

from dataclasses import replace

from bertjax.config import PretrainConfig
from bertjax.recipes.budgets import quickstart


def get_config() -> PretrainConfig:
    cfg = quickstart()
    return replace(cfg, data=replace(cfg.data, corpus="data/quickstart"))
