"""A rate that moves: where it is at each step, and that its masks are those of that rate."""

from __future__ import annotations

from dataclasses import replace

import jax
import numpy as np
import oracle_masking as oracle
import pytest
from test_masking import SPECIAL, T, V, draws_of, make_batch

from bertjax.config import DataConfig, MaskingConfig, ModelConfig, Phase, PretrainConfig
from bertjax.config import TrainConfig as Train
from bertjax.errors import UserError
from bertjax.objectives import masking
from bertjax.objectives.choice import objective_of
from bertjax.objectives.masks import Fall, Masks
from bertjax.objectives.objective import EVALUATION_MASKING
from bertjax.objectives.presets import PRESETS

# Of each way to count and of each algorithm one.
VARIANTS = ["hf", "cramming", "electra", "fairseq_wwm", "google_wwm", "flax_models", "albert_ngram"]


def falling(steps: int = 100, *phases: Phase) -> PretrainConfig:
    phases = phases or (Phase(16, 8, 0.5), Phase(16, 8, 0.5, mask_rate=(0.3, 0.15)))
    model = ModelConfig(vocab_size=V, hidden_size=8, num_layers=1, num_heads=1)
    return PretrainConfig(model, DataConfig(phases=phases), train=Train(steps=steps))


@pytest.mark.parametrize(("first", "last"), [(0.3, 0.15), (0.15, 0.3), (0.4, 0.0)])
def test_it_goes_evenly_and_reaches_both_ends_exactly(first, last):
    rates = jax.jit(jax.vmap(Fall(first, last, 10, 60).at))(np.arange(80))
    np.testing.assert_allclose(rates[10:61], np.linspace(first, last, 51), rtol=1e-6, atol=1e-8)
    assert (rates[:11] == np.float32(first)).all() and (rates[60:] == np.float32(last)).all()


@pytest.mark.parametrize("share", [0.0, 0.37, 1.0])
@pytest.mark.parametrize("name", VARIANTS)
def test_masks_are_those_of_the_rate_of_the_moment(name, share):
    """By the oracle of the published procedures, given that rate and the slots of the highest."""
    cfg, (first, last) = replace(PRESETS[name], rate=0.3), (0.3, 0.12)
    masks = Masks(cfg, SPECIAL, V, Fall(first, last, 0, 100))
    batch = make_batch(3)
    got = jax.device_get(jax.jit(masks.put)(batch, 0, 100 * share))
    draws = jax.device_get(draws_of(cfg, batch["example_ids"], T))
    now = replace(cfg, rate=first + share * (last - first))
    slots = masking.slots(cfg, T)
    assert got["predict_positions"].shape[1] == slots
    for b in range(len(batch["tokens"])):
        want, chosen = oracle.mask_row(
            now,
            *(batch[key][b].tolist() for key in ("tokens", "segments", "word_starts")),
            masking.Draws(*(x[b] for x in draws)),
            SPECIAL,
            V,
            slots,
        )
        weights = got["predict_weights"][b] > 0
        assert got["predict_positions"][b][weights].tolist() == chosen
        assert got["tokens"][b].tolist() == want


def test_at_rate_zero_nothing_is_hidden():
    masks = Masks(MaskingConfig(rate=0.3), SPECIAL, V, Fall(0.3, 0.0, 0, 10))
    assert not np.asarray(masks.put(make_batch(0), 0, 10.0)["predict_weights"]).any()


def test_a_phase_has_its_own_rate_and_slots_for_the_highest():
    cfg = falling()
    constant, moving = (objective_of(cfg, SPECIAL, phase=phase) for phase in (0, 1))
    assert constant.masks.cfg.rate == 0.15 and constant.masks.fall is None
    assert moving.masks.cfg.rate == 0.3 and moving.masks.fall == Fall(0.3, 0.15, 50, 99)
    assert moving.predictions(100) == pytest.approx(22.5)
    upwards = objective_of(falling(100, Phase(16, 8, mask_rate=(0.1, 0.4))), SPECIAL)
    assert upwards.masks.cfg.rate == 0.4
    same = objective_of(falling(100, Phase(16, 8, mask_rate=(0.2, 0.2))), SPECIAL)
    assert same == objective_of(falling(100, Phase(16, 8, mask_rate=(0.2,))), SPECIAL)


def test_held_out_text_is_masked_as_ever_in_all_phases():
    cfg = falling()
    first, second = (objective_of(cfg, SPECIAL, phase=phase).evaluation() for phase in (0, 1))
    assert first == second and first.masks.cfg == EVALUATION_MASKING and first.masks.fall is None


def test_the_generator_has_the_rate_of_the_phase_too():
    pair = replace(falling().replaced_tokens, weight=50.0)
    alone = falling().data.without_pair_loss
    cfg = replace(falling(), data=alone, replaced_tokens=pair).with_trained_heads()
    assert objective_of(cfg, SPECIAL, phase=1).masks.fall == Fall(0.3, 0.15, 50, 99)


@pytest.mark.parametrize(
    ("phase", "said"),
    [
        ({"mask_rate": (0.1, 0.2, 0.3)}, "mask_rate has 3 rates: give one, or the first and"),
        ({"mask_rate": (1.5,)}, "mask_rate=1.5 is out of range"),
        ({"attention": "both"}, "attention='both' is not known"),
    ],
)
def test_mistakes_are_refused(phase, said):
    with pytest.raises(UserError, match=said):
        Phase(**phase)
