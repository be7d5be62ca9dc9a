"""Which objective a phase of a config asks for: the one place that knows them by name."""

from __future__ import annotations

from bertjax.config import PhaseSchedule, PretrainConfig
from bertjax.objectives.causal import CausalLM
from bertjax.objectives.masked_lm import MaskedLM
from bertjax.objectives.masks import masks_of
from bertjax.objectives.objective import Objective
from bertjax.objectives.replaced_tokens import ReplacedTokens
from bertjax.text.special import SpecialIds


def objective_of(
    cfg: PretrainConfig, special: SpecialIds, pieces: int = 0, phase: int = 0
) -> Objective:
    """The objective of a phase of a run.

    `pieces` is the tokenizer's number of ids, which alone are put in a token's place; 0: as many as
    the model has rows.
    """
    steps = PhaseSchedule.plan(cfg.data, cfg.train.steps).steps(phase)
    rates = cfg.data.phases[phase].mask_rate
    cfg = cfg.in_phase(cfg.data.phases[phase])
    if cfg.model.attention == "causal":
        return CausalLM(cfg.model, special, cfg.train.z_loss)
    pieces = pieces or cfg.model.vocab_size
    masks = masks_of(cfg.masking, rates, steps, special, pieces)
    if cfg.generator:
        return ReplacedTokens(cfg.computed, masks)
    pairing = cfg.data.pairing
    pairs = pairing.label if pairing and pairing.predicted else ""
    return MaskedLM(cfg.model, masks, pairs, cfg.train.z_loss)
