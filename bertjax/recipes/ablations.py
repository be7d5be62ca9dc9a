"""What the ablations in `configs/ablations/` begin with: a recipe for minutes of two cores."""

from __future__ import annotations

from dataclasses import replace

from bertjax.config import BudgetConfig, MaskingConfig, Phase, PretrainConfig
from bertjax.recipes.budgets import quickstart

# 1,953 steps of 32 rows of 128: five to ten minutes of two cores, and past the unigram entropy.
SMALL_BUDGET = BudgetConfig(tokens=8_000_000)

# Members of the family as fields of `small_base`. GLU of 344 has as many weights as 512 without.
MODERN_LAYERS = (
    "model.norm=pre",
    "model.positions=rotary",
    "model.feed_forward=glu",
    "model.intermediate_size=344",
    "model.linear_bias=false",
    "model.norm_bias=false",
    "model.scaled_init=true",
)
ALBERT_LAYERS = ("model.embedding_size=64", "model.layer_groups=1")


def small_base() -> PretrainConfig:
    """The quickstart's BERT on rows of 128, masked as BERT's are.

    Its optimizer, rates and missing dropout are departures from BERT that all arms share.
    """
    cfg = quickstart()
    return replace(
        cfg,
        data=replace(cfg.data, phases=(Phase(seq_len=128, batch_size=32),)),
        masking=MaskingConfig(),
        train=replace(cfg.train, minutes=0, eval_every=250, keep_checkpoints=1),
    )
