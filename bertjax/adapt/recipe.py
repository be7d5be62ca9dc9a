"""The run that an adaptation is, where the user says nothing else."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from bertjax.config import (
    DataConfig,
    MaskingConfig,
    ModelConfig,
    OptimConfig,
    Phase,
    PretrainConfig,
)
from bertjax.errors import UserError
from bertjax.overrides import apply_overrides

_ENOUGH_STEPS, _MOST_PASSES = 1_000, 100
_LOOKS = 10  # evaluations and checkpoints of a run
_OURS = ("data.corpus", "data.corpora", "train.init")
_FREE = ("model.hidden_dropout", "model.attention_dropout")  # the rest is the weights'


def recipe(model: ModelConfig, before: PretrainConfig | None) -> PretrainConfig:
    """How the training of `model` goes on.

    Of weights from elsewhere as Gururangan et al. 2020 (arXiv 2004.10964, table 13) trained
    RoBERTa: Adam with β 0.9 and 0.98, decay 0.01, linear decay after 6 % of warm-up. Their rates
    are 5e-4 for 2,048 rows and 1e-4 for 256; here it is 5e-5 for 64 rows of 128, the latter by the
    square root of the rows.

    A run of ours, `before`, goes on with its own optimizer, masks and rows of its last phase. The
    rate rises again to half its peak: Gupta et al. 2023 (arXiv 2308.04014) found that warming up
    anew to a higher peak learns more of the new text and forgets more of the old.
    """
    rows = Phase(seq_len=min(128, model.max_positions), batch_size=64)
    optim = OptimConfig(learning_rate=5e-5, b2=0.98, bias_correction=True)
    masking = MaskingConfig()
    if before is not None:
        last = before.data.phases[-1]
        rows = Phase(last.seq_len, last.batch_size, mask_rate=last.mask_rate[-1:])
        optim = replace(before.optim, learning_rate=before.optim.learning_rate / 2)
        masking = before.masking
    falling = replace(optim, schedule="linear", final_fraction=0.0, decay_from_zero=False)
    return PretrainConfig(
        model=model,
        data=DataConfig(format="full_sentences", short_seq_prob=0.0, phases=(rows,)),
        masking=masking,
        optim=replace(falling, warmup_fraction=0.06),
    )


def check_typed(typed: Sequence[str]) -> None:
    """Raise `UserError` for a field that the text or the weights decide."""
    for item in typed:
        name = item.partition("=")[0]
        if name.startswith(_OURS):
            raise UserError(
                f"{item}: an adaptation makes its own corpus and begins with --init: give --text, "
                "and general text as replay.corpus"
            )
        if name.startswith("model.") and name not in _FREE:
            raise UserError(
                f"{item}: the weights of --init fix the architecture; of model.* only "
                "hidden_dropout and attention_dropout can be set"
            )


def settled(cfg: PretrainConfig, typed: Sequence[str], tokens: int) -> PretrainConfig:
    """The recipe with its corpora, with what was typed, and with a length where that is not typed.

    The length is one pass over the domain's `tokens`. Of little text it is 1,000 steps, but at most
    100 passes, which Gururangan et al. made over the texts of a task.
    """
    cfg = apply_overrides(cfg, typed)
    shape, shares = cfg.data.phases[0], cfg.data.shares(0)
    rows = shape.batch_size * shares[0] / sum(shares)
    one_pass = math.ceil(tokens / ((shape.seq_len - 2) * rows))
    steps = max(one_pass, min(_ENOUGH_STEPS, _MOST_PASSES * one_pass))
    chosen = {"train.steps": steps}
    every = max(1, (cfg.train.steps if _is_typed("train.steps", typed) else steps) // _LOOKS)
    if not cfg.train.minutes:
        chosen |= {"train.eval_every": every, "train.checkpoint_every": every}
    return apply_overrides(cfg, [f"{k}={v}" for k, v in chosen.items() if not _is_typed(k, typed)])


def _is_typed(field: str, typed: Sequence[str]) -> bool:
    return any(item.startswith(f"{field}=") for item in typed)
